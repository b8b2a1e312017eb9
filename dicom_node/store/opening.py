"""Opens the store that the settings name; nothing is asked of it before."""

import json
from typing import Any
from urllib.parse import urlsplit

from dicom_node.errors import BadSetting, StoreAway
from dicom_node.settings import NodeSettings
from dicom_node.store.store import Store


def require(settings: NodeSettings) -> None:
    """Raise BadSetting where the library of the URL's protocol, or the file of options, cannot be used."""
    if settings.store_url is None:
        return
    # For sites that have a store alone.
    import fsspec  # noqa: PLC0415

    protocol = urlsplit(settings.store_url).scheme
    try:
        fsspec.get_filesystem_class(protocol)
    except ValueError as error:
        raise BadSetting(f"DICOM_NODE_STORE_URL: fsspec knows no {protocol}://") from error
    except ImportError as error:
        install = "pip install 'scleroscan[store]'" if protocol.startswith("s3") else str(error)
        raise BadSetting(f"DICOM_NODE_STORE_URL: {protocol}:// needs a library: {install}") from error
    _options(settings)


def open_store(settings: NodeSettings) -> Store:
    """Return the store. Raises BadSetting as :func:`require` does, and StoreAway where it is asked and is not there."""
    from fsspec.core import url_to_fs  # noqa: PLC0415  as above

    if settings.store_url is None:
        raise BadSetting("DICOM_NODE_STORE_URL is not set: there is no object store")
    require(settings)
    try:
        files, root = url_to_fs(settings.store_url, **_options(settings))
    except Exception as error:  # as in Store: each protocol has errors of its own
        raise StoreAway(f"{settings.store_url} cannot be opened ({type(error).__name__})") from error
    return Store(files, root, settings.store_url)


def _options(settings: NodeSettings) -> dict[str, Any]:
    if settings.store_options is None:
        return {}
    named = f"DICOM_NODE_STORE_OPTIONS={settings.store_options}"
    try:
        options = json.loads(settings.store_options.read_bytes())
    except OSError as error:
        raise BadSetting(f"{named} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BadSetting(f"{named} is no JSON") from error
    if not isinstance(options, dict):
        raise BadSetting(f"{named} is no JSON object of options for fsspec")
    return options
