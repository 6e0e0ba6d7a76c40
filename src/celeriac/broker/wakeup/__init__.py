"""What wakes a consumer: the doorbells of one host, LISTEN/NOTIFY between hosts, a slow poll behind both."""
