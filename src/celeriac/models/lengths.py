"""How long names are at the most."""

#: Of a queue, a routing key, a node: an index of several of them must fit in MySQL.
NAME_LENGTH = 200
