"""Files of one series in; a CT volume in Hounsfield units out, or a refusal with its code."""
