"""Files with which supervisord, systemd, Docker and others run this project's workers."""
