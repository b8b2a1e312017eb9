"""Access control: which callers may open an association, from which addresses, and where they listen themselves."""

from dataclasses import dataclass
from ipaddress import ip_address

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, field_validator

from db.address import AE_TITLE, ApplicationEntity
from db.errors import BadAddress

# PS3.8 9.3.4: rejected permanently by the service user: calling, called AE title not recognized.
CALLING_NOT_RECOGNIZED = (0x01, 0x01, 0x03)
CALLED_NOT_RECOGNIZED = (0x01, 0x01, 0x07)
Rejection = tuple[int, int, int]


class Peer(BaseModel):
    """One known sender: a ``[[peer]]`` of the site file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ae_title: str = Field(min_length=1, max_length=16, pattern=f"^{AE_TITLE}$", description="Its AE title")
    addresses: tuple[IPvAnyNetwork, ...] = Field((), description="Addresses or networks it may call from; none: any")
    listens_at: str | None = Field(None, description="host:port where it takes answers to storage commitment requests")
    tls: bool = Field(False, description="Whether it listens there by TLS; our own certificate is shown to it")
    storage_commitment: bool = Field(
        False, description="Whether it may ask for storage commitment; images stay for DICOM_NODE_RETENTION_DAYS alone"
    )

    @field_validator("listens_at")
    @classmethod
    def _is_an_address(cls, text: str | None) -> str | None:
        if text is not None:
            try:
                ApplicationEntity.parse(f"AET@{text}")
            except BadAddress as error:
                raise ValueError("write it as host:port") from error
        return text

    @property
    def application_entity(self) -> ApplicationEntity | None:
        """Where it listens; None where it does not."""
        return ApplicationEntity.parse(f"{self.ae_title}@{self.listens_at}") if self.listens_at else None

    def may_call_from(self, address: str) -> bool:
        """Whether the peer may call from ``address``, an IP address; a peer without addresses may call from any."""
        # A dual-stack socket shows an IPv4 caller as ::ffff:10.0.0.5.
        caller = ip_address(address.removeprefix("::ffff:"))
        return not self.addresses or any(caller in network for network in self.addresses)


@dataclass(frozen=True)
class AccessControl:
    """Lets in callers of our AE title; where peers are listed, only those peers, each from its own addresses."""

    ae_title: str
    peers: tuple[Peer, ...] = ()
    any_called_ae: bool = False

    def judge(self, calling_ae: str, called_ae: str, address: str) -> Rejection | None:
        """Return why an association request is rejected; None where it is let in."""
        if not self.any_called_ae and called_ae.strip() != self.ae_title.strip():
            return CALLED_NOT_RECOGNIZED
        return CALLING_NOT_RECOGNIZED if self.peers and not self._known_as(calling_ae, address) else None

    def may_ask_for_commitment(self, calling_ae: str, address: str) -> bool:
        """Whether the site file lists the caller as a peer with ``storage_commitment = true``."""
        return any(peer.storage_commitment for peer in self._known_as(calling_ae, address))

    def _known_as(self, calling_ae: str, address: str) -> list[Peer]:
        caller = calling_ae.strip()
        return [peer for peer in self.peers if peer.ae_title.strip() == caller and peer.may_call_from(address)]
