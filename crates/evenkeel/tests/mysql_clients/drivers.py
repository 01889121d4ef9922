"""The Python drivers' part of the matrix.

Each argument is an order, `key=value …`: which driver logs in where, and which features it tries there, or under which
name its login is reported. A line is printed for each: what was tried, a tab, and `ok`, `-` (the driver has no such
thing) or what went wrong.
"""

import datetime
import decimal
import json
import sys
import tempfile
import threading
import time
import traceback

MIB = 1 << 20
INTERRUPTED = 1317


class Missing(Exception):
    """The driver has no such thing."""


class Driver:
    """What the drivers do each in its own way. By default: nothing."""

    def __init__(self, order):
        self.order = order
        self.where = dict(
            host="127.0.0.1", port=int(order["port"]), user=order["user"], password=order["password"],
            database=order["database"],
        )

    def connect(self, autocommit=True, **more):
        raise NotImplementedError

    def prepared(self, connection):
        """A cursor that prepares on the server; its parameters are `?`."""
        raise Missing

    def change_user(self, connection, user, password, database):
        raise Missing

    def compressed(self):
        """A connection that is compressed."""
        return self.connect()

    def reset(self, connection):
        raise Missing

    def pieces(self, connection, query, size):
        """The numbers in a query's first column, fetched in pieces."""
        raise Missing

    def warnings(self, connection):
        raise Missing


class Connector(Driver):
    """MySQL Connector/Python, in Python alone."""

    pure = True

    def __init__(self, order):
        super().__init__(order)
        if not self.pure:
            # First, because it brings an OpenSSL that is newer than that of old systems.
            import _mysql_connector  # noqa: F401
        import mysql.connector

        self.module = mysql.connector
        self.found_rows_flag = [mysql.connector.constants.ClientFlag.FOUND_ROWS]

    def connect(self, autocommit=True, found_rows=False, **more):
        if found_rows:
            more["client_flags"] = self.found_rows_flag
        more["ssl_disabled"] = self.order["channel"] != "tls"
        more["compress"] = self.order["channel"] == "compressed"
        # Its default is one that MariaDB does not have.
        return self.module.connect(
            collation="utf8mb4_general_ci", use_pure=self.pure, autocommit=autocommit, allow_local_infile=True, **{**self.where, **more}
        )

    def prepared(self, connection):
        return connection.cursor(prepared=True)

    def change_user(self, connection, user, password, database):
        connection.cmd_change_user(user, password, database)

    def reset(self, connection):
        connection.cmd_reset_connection()

    def pieces(self, connection, query, size):
        if not self.pure:
            raise Missing
        open_cursor = 1
        statement = connection.cmd_stmt_prepare(query.encode())
        result = connection.cmd_stmt_execute(statement["statement_id"], flags=open_cursor)
        columns, numbers = result[1], []
        while True:
            connection.cmd_stmt_fetch(statement["statement_id"], size)
            rows, end = connection.get_rows(binary=True, columns=columns)
            numbers += [row[0] for row in rows]
            last_row_sent = 1 << 7
            if end["status_flag"] & last_row_sent:
                connection.cmd_stmt_close(statement["statement_id"])
                return numbers

    def warnings(self, connection):
        connection.get_warnings = True
        cursor = connection.cursor()
        cursor.execute("select cast('abc' as signed)")
        cursor.fetchall()
        return [code for _, code, _ in cursor.warnings]


class ConnectorC(Connector):
    """MySQL Connector/Python with its C extension, which is MySQL's own client library."""

    pure = False


class PyMySQL(Driver):
    """PyMySQL, which is Python alone and prepares nothing on the server."""

    def __init__(self, order):
        super().__init__(order)
        import pymysql

        self.module = pymysql

    def connect(self, autocommit=True, found_rows=False, **more):
        flags = self.module.constants.CLIENT
        # Sets FOUND_ROWS by itself.
        flag = flags.MULTI_STATEMENTS | (flags.FOUND_ROWS if found_rows else 0)
        if self.order["channel"] == "tls":
            more["ssl_ca"] = self.order["ca"]
        else:
            more["ssl_disabled"] = True
        connection = self.module.connect(
            autocommit=autocommit, client_flag=flag, local_infile=True, max_allowed_packet=64 * MIB, **{**self.where, **more}
        )
        return connection

    def compressed(self):
        raise Missing

    def pieces(self, connection, query, size):
        cursor = connection.cursor(self.module.cursors.SSCursor)
        return fetch_pieces(cursor, query, size)

    def warnings(self, connection):
        cursor = connection.cursor()
        cursor.execute("select cast('abc' as signed)")
        cursor.fetchall()
        return [code for _, code, _ in connection.show_warnings()]


class MySQLClient(Driver):
    """mysqlclient, on MariaDB's C library."""

    def __init__(self, order):
        super().__init__(order)
        import MySQLdb
        import MySQLdb.constants.CLIENT
        import MySQLdb.cursors

        self.module = MySQLdb

    def connect(self, autocommit=True, found_rows=False, **more):
        flags = self.module.constants.CLIENT
        flag = flags.MULTI_STATEMENTS | (flags.FOUND_ROWS if found_rows else 0)
        if self.order["channel"] == "tls":
            more["ssl"] = {"ca": self.order["ca"]}
            more["ssl_mode"] = "REQUIRED"
        else:
            more["ssl_mode"] = "DISABLED"
        if self.order["channel"] == "compressed":
            # It compresses whatever is said here.
            more["compress"] = True
        return self.module.connect(
            autocommit=autocommit, client_flag=flag, local_infile=1, charset="utf8mb4", **{**self.where, **more}
        )

    def change_user(self, connection, user, password, database):
        connection.change_user(user, password, database)

    def pieces(self, connection, query, size):
        cursor = connection.cursor(self.module.cursors.SSCursor)
        return fetch_pieces(cursor, query, size)

    def warnings(self, connection):
        cursor = connection.cursor()
        cursor.execute("select cast('abc' as signed)")
        cursor.fetchall()
        return [code for _, code, _ in connection.show_warnings()]


DRIVERS = {
    "connector-python": Connector,
    "connector-python-c": ConnectorC,
    "pymysql": PyMySQL,
    "mysqlclient": MySQLClient,
}


def fetch_pieces(cursor, query, size):
    cursor.execute(query)
    numbers = []
    while rows := cursor.fetchmany(size):
        numbers += [row[0] for row in rows]
    cursor.close()
    return numbers


def run(connection, sql, parameters=None):
    """The rows of a statement, or how many rows it changed."""
    cursor = connection.cursor()
    cursor.execute(sql, parameters) if parameters is not None else cursor.execute(sql)
    result = list(cursor.fetchall()) if cursor.description else cursor.rowcount
    cursor.close()
    return result


def one(connection, sql, parameters=None):
    [[value]] = run(connection, sql, parameters)
    return value.decode() if isinstance(value, (bytes, bytearray)) and len(value) < 100 else value


def failure(action):
    """The number of the error that an action fails with."""
    try:
        action()
    except Exception as error:
        if error.args and isinstance(error.args[0], int):
            return error.args[0]
        return getattr(error, "errno", None) or repr(error)
    return None


def equal(seen, expected):
    if seen != expected:
        raise AssertionError(f"{str(seen)[:300]!r} is not {str(expected)[:300]!r}")


def fresh_table(connection, name, columns):
    run(connection, f"drop table if exists {name}")
    run(connection, f"create table {name} ({columns})")


# Features, in the order of the matrix. Each takes a driver.


def queries(driver):
    connection = driver.connect()
    equal(run(connection, "select 1, 'a', null"), [(1, "a", None)])
    equal(run(connection, "select 1 from dual where false"), [])
    fresh_table(connection, "t_queries", "id int primary key, word varchar(40)")
    equal(run(connection, "insert into t_queries values (1, %s), (2, %s)", ("it's", 'a "\\" b')), 2)
    equal(run(connection, "update t_queries set word = 'x' where id = 2"), 1)
    equal(failure(lambda: run(connection, "insert into t_queries values (1, 'again')")), 1062)
    equal(failure(lambda: run(connection, "selec")), 1064)
    equal(run(connection, "select id, word from t_queries order by id"), [(1, "it's"), (2, "x")])
    connection.ping()
    connection.close()


VALUES = (
    -(1 << 31),
    (1 << 64) - 1,
    decimal.Decimal("12345678901234.567891"),
    0.1,
    "naïve 🐘 “quoted” \\ '",
    bytes(range(256)),
    datetime.datetime(2024, 2, 29, 23, 59, 59, 123456),
    datetime.timedelta(hours=-8, minutes=-30, seconds=-1),
    datetime.date(1999, 12, 31),
    None,
    "b",
    "",
)


def types(driver):
    connection = driver.connect()
    fresh_table(
        connection,
        "t_types",
        "i int, u bigint unsigned, d decimal(20,6), f double, s varchar(100) character set utf8mb4, b blob, "
        "t datetime(6), m time, y date, n int null, e enum('a','b'), z varchar(1), j json",
    )
    marks = ", ".join(["%s"] * (len(VALUES) + 1))
    document = {"a": [1, None, "ü"]}
    run(connection, f"insert into t_types values ({marks})", VALUES + (json.dumps(document),))
    [(*values, seen)] = run(connection, "select * from t_types")
    equal(tuple(values), VALUES)
    equal(json.loads(seen), document)
    connection.close()


def transactions(driver):
    writer, reader = driver.connect(), driver.connect()
    fresh_table(writer, "t_transactions", "n int")
    for end, rows in (("commit", 1), ("rollback", 1), ("commit", 2)):
        run(writer, "start transaction")
        before = one(reader, "select count(*) from t_transactions")
        run(writer, "insert into t_transactions values (1)")
        equal(one(writer, "select count(*) from t_transactions"), before + 1)
        equal(one(reader, "select count(*) from t_transactions"), before)
        run(writer, end)
        equal(one(reader, "select count(*) from t_transactions"), rows)
    writer.close()
    reader.close()


def autocommit(driver):
    writer, reader = driver.connect(autocommit=False), driver.connect()
    fresh_table(writer, "t_autocommit", "n int")
    run(writer, "insert into t_autocommit values (1)")
    equal(one(reader, "select count(*) from t_autocommit"), 0)
    writer.rollback()
    equal(one(writer, "select count(*) from t_autocommit"), 0)
    run(writer, "insert into t_autocommit values (1)")
    writer.commit()
    equal(one(reader, "select count(*) from t_autocommit"), 1)
    equal(one(reader, "select @@autocommit"), 1)
    equal(one(writer, "select @@autocommit"), 0)
    writer.commit()
    writer.close()
    reader.close()


def prepared(driver):
    connections = [driver.connect() for _ in range(3)]
    cursors = [driver.prepared(connection) for connection in connections]
    servers = set()
    for round in range(12):
        # Whoever is in a transaction keeps a server connection from the others.
        holder = connections[round % 3]
        if driver.order["mode"] != "statement":
            run(holder, "start transaction")
        for number, cursor in enumerate(cursors):
            for text in ("select ? + 1, @@pseudo_thread_id", "select concat(?, '!'), @@pseudo_thread_id"):
                cursor.execute(text, (number,))
                [(value, server)] = cursor.fetchall()
                equal(str(value), str(number + 1) if "+" in text else f"{number}!")
                servers.add(server)
        if driver.order["mode"] != "statement":
            run(holder, "rollback")
    if driver.order["mode"] == "transaction":
        equal(len(servers), 2)
    equal(failure(lambda: cursors[0].execute("select ? from nowhere", (1,))), 1146)
    cursors[0].execute("select ?", (None,))
    equal(cursors[0].fetchall(), [(None,)])
    for connection in connections:
        connection.close()


def pieces(driver):
    connection, other = driver.connect(), driver.connect()
    fresh_table(connection, "t_pieces", "n int")
    run(connection, "insert into t_pieces values " + ", ".join(f"({n})" for n in range(1000)))
    equal(driver.pieces(connection, "select n from t_pieces order by n", 100), list(range(1000)))
    equal(one(other, "select 1"), 1)
    equal(one(connection, "select 1"), 1)
    connection.close()
    other.close()


def big_rows(driver):
    connection = driver.connect()
    for length in (300_000, 17 * MIB, (1 << 24) - 1 - 4, 2 * ((1 << 24) - 1) - 4):
        value = one(connection, f"select repeat('x', {length})")
        equal(len(value), length)
        equal(one(connection, "select 1"), 1)
    connection.close()


def big_parameters(driver):
    connection = driver.connect()
    for length in (300_000, (1 << 24) - 1 - len("select length('')") - 1, 17 * MIB):
        equal(one(connection, "select length(%s)", ("x" * length,)), length)
        equal(one(connection, "select 1"), 1)
    try:
        cursor = driver.prepared(connection)
    except Missing:
        pass
    else:
        for length in (300_000, 17 * MIB):
            cursor.execute("select length(?)", (b"x" * length,))
            equal(cursor.fetchall(), [(length,)])
    connection.close()


def statements(driver):
    connection = driver.connect()
    cursor = connection.cursor()
    cursor.execute("select 1; select 'two', 2; set @x = 3; select @x + 0")
    seen = []
    while True:
        if cursor.description:
            seen += cursor.fetchall()
        if not cursor.nextset():
            break
    equal(seen, [(1,), ("two", 2), (3,)])
    cursor.execute("select 1; selec")
    cursor.fetchall()
    equal(failure(cursor.nextset), 1064)
    equal(one(connection, "select 1"), 1)
    connection.close()


def procedures(driver):
    connection = driver.connect()
    run(connection, "drop procedure if exists two_results")
    run(connection, "create procedure two_results(a int) begin select a; select a + 1, 'b'; end")
    for _ in range(2):
        cursor = connection.cursor()
        cursor.callproc("two_results", (41,))
        if hasattr(cursor, "stored_results"):
            seen = [row for result in cursor.stored_results() for row in result.fetchall()]
        else:
            seen = list(cursor.fetchall())
            while cursor.nextset():
                seen += cursor.fetchall()
        equal(seen, [(41,), (42, "b")])
        equal(one(connection, "select 1"), 1)
        cursor.close()
    connection.close()


def local_infile(driver):
    connection = driver.connect()
    fresh_table(connection, "t_infile", "n int, word varchar(20)")
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.writelines(f"{n},word {n}\n" for n in range(20_000))
        file.flush()
        load = f"load data local infile '{file.name}' into table t_infile fields terminated by ','"
        if "local-infile-refused" in driver.order["features"]:
            if (number := failure(lambda: run(connection, load))) not in (1148, 3948, 2000, 2068, 4166):
                raise AssertionError(f"refused with {number}")
            connection = driver.connect()
            equal(one(connection, "select count(*) from t_infile"), 0)
        else:
            equal(run(connection, load), 20_000)
            equal(run(connection, "select count(*), max(word) from t_infile"), [(20_000, "word 9999")])
            gone = load.replace(file.name, "/nowhere")
            if not failure(lambda: run(connection, gone)):
                raise AssertionError("a file that is not there was loaded")
    connection.close()


def settings(driver):
    one_, other = driver.connect(), driver.connect()
    run(one_, "set time_zone = '+05:00', sql_mode = 'ANSI_QUOTES'")
    run(one_, "set names latin1")
    run(other, "set @mine = 'other'")
    for _ in range(4):
        seen = run(one_, "select @@time_zone, @@sql_mode, @@character_set_client, @mine")
        equal(seen, [("+05:00", "ANSI_QUOTES", "latin1", None)])
        equal(run(other, "select @@time_zone, @mine"), [("SYSTEM", "other")])
    run(one_, "set names utf8mb4")
    equal(one(one_, "select '🐘'"), "🐘")
    one_.close()
    other.close()


def kill(driver):
    victim, killer = driver.connect(), driver.connect()
    number = one(victim, "select connection_id()")
    result = []

    def sleep():
        try:
            result.append(one(victim, "select sleep(25)"))
        except Exception as error:
            result.append(failure(lambda: (_ for _ in ()).throw(error)))

    began = time.monotonic()
    sleeper = threading.Thread(target=sleep)
    sleeper.start()
    sees = "select count(*) from information_schema.processlist where info = 'select sleep(25)'"
    while one(killer, sees) == 0:
        if time.monotonic() - began > 10:
            raise AssertionError("it does not begin to sleep")
    run(killer, f"kill query {number}")
    sleeper.join()
    if time.monotonic() - began > 20 or result[0] not in (1, INTERRUPTED):
        raise AssertionError(f"sleeping ended with {result}")
    equal(one(victim, "select 1"), 1)
    victim.close()
    killer.close()


def change_user(driver):
    connection = driver.connect()
    run(connection, "set @mine = 1")
    order = driver.order
    for _ in range(2):
        driver.change_user(connection, "second", order["password"], order["database"])
        equal(run(connection, "select current_user(), @mine"), [("second@%", None)])
        driver.change_user(connection, order["user"], order["password"], order["database"])
        equal(one(connection, "select substring_index(current_user(), '@', 1)"), order["user"])
    connection.close()


def reset(driver):
    connection = driver.connect()
    zone = one(connection, "select @@time_zone")
    run(connection, "set @mine = 1, time_zone = '+03:00'")
    run(connection, "create temporary table t_reset (n int)")
    driver.reset(connection)
    equal(run(connection, "select @mine, @@time_zone"), [(None, zone)])
    equal(failure(lambda: run(connection, "select * from t_reset")), 1146)
    connection.close()


def warnings(driver):
    connection = driver.connect()
    equal(driver.warnings(connection), [1292])
    # MariaDB keeps them until a statement reads a table.
    run(connection, "select count(*) from information_schema.engines")
    equal(run(connection, "show warnings"), [])
    connection.close()


def insert_id(driver):
    connection, other = driver.connect(), driver.connect()
    fresh_table(connection, "t_insert_id", "id int primary key auto_increment, n int")
    for expected in (1, 3, 5):
        cursor = connection.cursor()
        cursor.execute("insert into t_insert_id (n) values (1)")
        equal(cursor.lastrowid, expected)
        run(other, "insert into t_insert_id (n) values (2)")
        equal(one(connection, "select last_insert_id()"), expected)
        equal(one(other, "select last_insert_id()"), expected + 1)
    connection.close()
    other.close()


def found_rows(driver):
    plain, counting = driver.connect(), driver.connect(found_rows=True)
    fresh_table(plain, "t_found", "n int")
    run(plain, "insert into t_found values (1), (2)")
    equal(run(counting, "update t_found set n = n"), 2)
    if driver.order["driver"] != "connector-python-c" and driver.order["driver"] != "pymysql":
        equal(run(plain, "update t_found set n = n"), 0)
    plain.close()
    counting.close()


def compression(driver):
    connection = driver.compressed()
    cursor = connection.cursor()
    for length in (1, 60, 5_000, 70_000, 300_000):
        text = ("na" * length)[:length]
        cursor.execute("select %s", (text,))
        equal(list(cursor.fetchall()), [(text,)])
    connection.close()


FEATURES = {
    "queries": queries,
    "types": types,
    "transactions": transactions,
    "autocommit": autocommit,
    "prepared": prepared,
    "pieces": pieces,
    "big-rows": big_rows,
    "big-parameters": big_parameters,
    "statements": statements,
    "procedures": procedures,
    "local-infile": local_infile,
    "local-infile-refused": local_infile,
    "settings": settings,
    "kill": kill,
    "change-user": change_user,
    "reset": reset,
    "warnings": warnings,
    "insert-id": insert_id,
    "found-rows": found_rows,
    "compression": compression,
}


def attempt(feature, driver):
    try:
        FEATURES[feature](driver)
        return "ok"
    except Missing:
        return "-"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in place if frame.filename == __file__]
        return f"{type(error).__name__} at {lines}: {error}".replace("\n", " ")


def log_in(order):
    try:
        driver = DRIVERS[order["driver"]](order)
        connection = driver.connect()
        equal(one(connection, "select 1"), 1)
        connection.close()
        return "ok"
    except Exception as error:
        number = failure(lambda: (_ for _ in ()).throw(error))
        return f"{number} {error}".replace("\n", " ")


def main():
    for argument in sys.argv[1:]:
        order = dict(word.split("=", 1) for word in argument.split(" "))
        if "login" in order:
            print(f"{order['login']}\t{log_in(order)}", flush=True)
            continue
        try:
            driver = DRIVERS[order["driver"]](order)
        except ImportError as error:
            sys.exit(f"cannot load {order['driver']}: {error}")
        for feature in order["features"].split(","):
            print(f"{feature}\t{attempt(feature, driver)}", flush=True)


main()
