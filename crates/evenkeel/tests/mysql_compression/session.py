"""A compressed session of mysql.connector, without its C extension, and one of MySQLdb: port, user, password, database,
another user.

The first cannot change the user when compressed, and reads no packet that comes in more than two compressed ones.
"""

import sys

import MySQLdb
import mysql.connector

port, user, password, database, other = sys.argv[1:]
where = {"host": "127.0.0.1", "port": int(port), "user": user, "password": password, "database": database}


def texts(cursor, lengths):
    for length in lengths:
        text = ("na" * length)[:length]
        cursor.execute("select %s", (text,))
        assert list(cursor.fetchall()) == [(text,)], length
    cursor.execute("select n from seq order by n")
    assert [n for (n,) in cursor.fetchall()] == list(range(2000))


session = mysql.connector.connect(**where, compress=True, use_pure=True)
texts(session.cursor(), (1, 60, 5_000, 70_000, 300_000))
prepared = session.cursor(prepared=True)
for n in range(3):
    prepared.execute("select n + %s from seq where n = %s", (1, n))
    assert prepared.fetchall() == [(n + 1,)]
prepared.close()
session.close()

session = MySQLdb.connect(**where, compress=True)
texts(session.cursor(), (1, 60, 70_000, 2_000_000))
session.change_user(other, password, database)
cursor = session.cursor()
cursor.execute("select substring_index(user(), '@', 1)")
assert cursor.fetchall() == ((other,),)
session.close()
print("done")
