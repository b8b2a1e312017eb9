"""What a site tells an audit repository: DICOM audit messages (PS3.15 A.5) by syslog."""
