"""An operator with PyMySQL: `opening.py PORT USER PASSWORD`. Ends with an error at the first thing that is not as it should be."""

import sys

import pymysql

port, user, password = sys.argv[1:]
connection = pymysql.connect(
    host="127.0.0.1", port=int(port), user=user, password=password, database="evenkeel", charset="utf8mb4",
    init_command="SET SESSION sql_mode = ''", cursorclass=pymysql.cursors.DictCursor,
)


def rows(text):
    with connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall()


def number(text):
    try:
        rows(text)
    except pymysql.MySQLError as error:
        return error.args[0]
    return 0


budget = rows("SHOW BUDGETS")[0]
assert isinstance(budget["budget"], int) and isinstance(budget["server"], str), budget
assert isinstance(rows("SHOW ROUTES")[0]["share_percent"], float)
stats = rows("SHOW STATS")[0]
assert isinstance(stats["total_query_count"], int), stats
process = rows("SHOW PROCESSLIST")[0]
assert isinstance(process["Id"], int) and process["Info"] is None, process
assert number("SHOW POLLS") == 1064
assert rows("SHOW WARNINGS")[0]["Code"] == 1064
assert number("SELECT @@nonsense") == 1193
assert rows("SELECT @@autocommit AS a, DATABASE() AS d") == [{"a": 1, "d": "evenkeel"}]
connection.ping(reconnect=False)
connection.begin()
connection.commit()
connection.rollback()
connection.select_db("pgbouncer")
connection.show_warnings()
connection.close()
print("done")
