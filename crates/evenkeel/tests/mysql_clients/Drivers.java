// MariaDB Connector/J's part of the matrix; see drivers.py for what orders and reports look like.

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;

public class Drivers {
    static final int MIB = 1 << 20;

    /** The driver has no such thing. */
    static class Missing extends Exception {}

    interface Feature {
        void run(Map<String, String> order) throws Exception;
    }

    static final Map<String, Feature> FEATURES = new HashMap<>();

    static {
        FEATURES.put("queries", Drivers::queries);
        FEATURES.put("types", Drivers::types);
        FEATURES.put("transactions", Drivers::transactions);
        FEATURES.put("autocommit", Drivers::autocommit);
        FEATURES.put("prepared", Drivers::prepared);
        FEATURES.put("pieces", Drivers::pieces);
        FEATURES.put("big-rows", Drivers::bigRows);
        FEATURES.put("big-parameters", Drivers::bigParameters);
        FEATURES.put("statements", Drivers::statements);
        FEATURES.put("procedures", Drivers::procedures);
        FEATURES.put("local-infile", Drivers::localInfile);
        FEATURES.put("local-infile-refused", Drivers::localInfile);
        FEATURES.put("settings", Drivers::settings);
        FEATURES.put("kill", Drivers::kill);
        FEATURES.put("change-user", order -> { throw new Missing(); });
        FEATURES.put("reset", order -> { throw new Missing(); });
        FEATURES.put("warnings", Drivers::warnings);
        FEATURES.put("insert-id", Drivers::insertId);
        FEATURES.put("found-rows", Drivers::foundRows);
        FEATURES.put("compression", Drivers::compression);
    }

    static Connection connect(Map<String, String> order, String... more) throws SQLException {
        Properties properties = new Properties();
        properties.put("user", order.get("user"));
        properties.put("password", order.get("password"));
        properties.put("useServerPrepStmts", "true");
        properties.put("allowMultiQueries", "true");
        properties.put("allowLocalInfile", "true");
        properties.put("allowPublicKeyRetrieval", "true");
        properties.put("useAffectedRows", "true");
        if (order.get("channel").equals("tls")) {
            properties.put("useSsl", "true");
            properties.put("serverSslCert", order.get("ca"));
        }
        if (order.get("channel").equals("compressed")) properties.put("useCompression", "true");
        for (String option : more) properties.put(option.split("=", 2)[0], option.split("=", 2)[1]);
        String where = "jdbc:mariadb://127.0.0.1:" + order.get("port") + "/" + order.get("database");
        return DriverManager.getConnection(where, properties);
    }

    static int run(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            return statement.execute(sql) ? 0 : statement.getUpdateCount();
        }
    }

    static List<List<Object>> rows(ResultSet result) throws SQLException {
        List<List<Object>> rows = new ArrayList<>();
        int columns = result.getMetaData().getColumnCount();
        while (result.next()) {
            List<Object> row = new ArrayList<>();
            for (int column = 1; column <= columns; column++) row.add(result.getObject(column));
            rows.add(row);
        }
        return rows;
    }

    static String one(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            ResultSet result = statement.executeQuery(sql);
            result.next();
            return result.getString(1);
        }
    }

    static void freshTable(Connection connection, String name, String columns) throws SQLException {
        run(connection, "drop table if exists " + name);
        run(connection, "create table " + name + " (" + columns + ")");
    }

    interface Action {
        Object run() throws Exception;
    }

    /** The number of the error that an action fails with. */
    static int failure(Action action) throws Exception {
        try {
            action.run();
            return 0;
        } catch (SQLException error) {
            return error.getErrorCode();
        }
    }

    static void equal(Object seen, Object expected) {
        if (!Objects.equals(seen, expected)) throw new AssertionError(seen + " is not " + expected);
    }

    static void queries(Map<String, String> order) throws Exception {
        try (Connection connection = connect(order); Statement statement = connection.createStatement()) {
            equal(rows(statement.executeQuery("select 'a', null")), List.of(Arrays.asList("a", null)));
            freshTable(connection, "t_queries", "id int primary key, word varchar(40)");
            equal(run(connection, "insert into t_queries values (1, 'x'), (2, 'y')"), 2);
            equal(failure(() -> run(connection, "insert into t_queries values (1, 'again')")), 1062);
            equal(failure(() -> run(connection, "selec")), 1064);
            equal(connection.isValid(5), true);
            equal(rows(statement.executeQuery("select * from t_queries order by id")), List.of(List.of(1, "x"), List.of(2, "y")));
            // Sent without waiting for answers, where the driver can.
            for (int n = 10; n < 60; n++) statement.addBatch("insert into t_queries values (" + n + ", 'batch')");
            statement.executeBatch();
            equal(one(connection, "select count(*) from t_queries"), "52");
        }
    }

    static void types(Map<String, String> order) throws Exception {
        byte[] bytes = new byte[256];
        for (int n = 0; n < 256; n++) bytes[n] = (byte) n;
        for (String prepares : new String[] {"useServerPrepStmts=true", "useServerPrepStmts=false"}) {
            try (Connection connection = connect(order, prepares)) {
                freshTable(connection, "t_types",
                    "i int, u bigint unsigned, d decimal(20,6), f double, s varchar(100) character set utf8mb4, b blob, "
                        + "t datetime(6), y date, n int null");
                try (PreparedStatement insert =
                        connection.prepareStatement("insert into t_types values (?, ?, ?, ?, ?, ?, ?, ?, ?)")) {
                    insert.setInt(1, Integer.MIN_VALUE);
                    insert.setBigDecimal(2, new java.math.BigDecimal("18446744073709551615"));
                    insert.setBigDecimal(3, new java.math.BigDecimal("12345678901234.567891"));
                    insert.setDouble(4, 0.1);
                    insert.setString(5, "naïve 🐘 “quoted” \\ '");
                    insert.setBytes(6, bytes);
                    insert.setTimestamp(7, Timestamp.valueOf("2024-02-29 23:59:59.123456"));
                    // MySQL 9 refuses the driver's dates in a prepared statement (1835): they are written as long as times are.
                    boolean asText = prepares.endsWith("=true") && connection.getMetaData().getDatabaseProductName().equals("MySQL");
                    if (asText) insert.setString(8, "1999-12-31");
                    else insert.setDate(8, java.sql.Date.valueOf("1999-12-31"));
                    insert.setNull(9, Types.INTEGER);
                    equal(insert.executeUpdate(), 1);
                }
                try (PreparedStatement select = connection.prepareStatement("select * from t_types where i = ?")) {
                    for (int round = 0; round < 2; round++) {
                        select.setInt(1, Integer.MIN_VALUE);
                        ResultSet row = select.executeQuery();
                        row.next();
                        equal(row.getInt(1), Integer.MIN_VALUE);
                        equal(row.getString(2), "18446744073709551615");
                        equal(row.getString(3), "12345678901234.567891");
                        equal(row.getDouble(4), 0.1);
                        equal(row.getString(5), "naïve 🐘 “quoted” \\ '");
                        equal(Arrays.equals(row.getBytes(6), bytes), true);
                        equal(row.getTimestamp(7), Timestamp.valueOf("2024-02-29 23:59:59.123456"));
                        equal(row.getDate(8), java.sql.Date.valueOf("1999-12-31"));
                        equal(row.getObject(9), null);
                    }
                }
            }
        }
    }

    static void transactions(Map<String, String> order) throws Exception {
        try (Connection writer = connect(order); Connection reader = connect(order)) {
            freshTable(writer, "t_transactions", "n int");
            String count = "select count(*) from t_transactions";
            String[][] ends = {{"commit", "1"}, {"rollback", "1"}, {"commit", "2"}};
            for (String[] end : ends) {
                run(writer, "start transaction");
                run(writer, "insert into t_transactions values (1)");
                equal(Integer.parseInt(one(reader, count)) + 1, Integer.parseInt(one(writer, count)));
                run(writer, end[0]);
                equal(one(reader, count), end[1]);
            }
        }
    }

    static void autocommit(Map<String, String> order) throws Exception {
        try (Connection writer = connect(order); Connection reader = connect(order)) {
            freshTable(writer, "t_autocommit", "n int");
            writer.setAutoCommit(false);
            run(writer, "insert into t_autocommit values (1)");
            equal(one(reader, "select count(*) from t_autocommit"), "0");
            writer.rollback();
            Savepoint savepoint = writer.setSavepoint("here");
            run(writer, "insert into t_autocommit values (2)");
            writer.rollback(savepoint);
            run(writer, "insert into t_autocommit values (3)");
            writer.commit();
            equal(one(reader, "select group_concat(n) from t_autocommit"), "3");
            equal(one(writer, "select @@autocommit"), "0");
            writer.setAutoCommit(true);
            writer.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            equal(writer.getTransactionIsolation(), Connection.TRANSACTION_SERIALIZABLE);
            equal(reader.getTransactionIsolation(), Connection.TRANSACTION_REPEATABLE_READ);
        }
    }

    static void prepared(Map<String, String> order) throws Exception {
        boolean transactions = !order.get("mode").equals("statement");
        List<Connection> connections = new ArrayList<>();
        List<PreparedStatement> statements = new ArrayList<>();
        for (int n = 0; n < 3; n++) {
            connections.add(connect(order));
            statements.add(connections.get(n).prepareStatement("select ? + 1, @@pseudo_thread_id"));
        }
        Set<String> servers = new HashSet<>();
        for (int round = 0; round < 12; round++) {
            Connection holder = connections.get(round % 3);
            if (transactions) run(holder, "start transaction");
            for (int n = 0; n < 3; n++) {
                statements.get(n).setInt(1, n);
                ResultSet result = statements.get(n).executeQuery();
                result.next();
                equal(result.getInt(1), n + 1);
                servers.add(result.getString(2));
            }
            if (transactions) run(holder, "rollback");
        }
        if (order.get("mode").equals("transaction")) equal(servers.size(), 2);
        freshTable(connections.get(0), "t_prepared", "n int");
        try (PreparedStatement insert = connections.get(0).prepareStatement("insert into t_prepared values (?)")) {
            for (int n = 0; n < 100; n++) {
                insert.setInt(1, n);
                insert.addBatch();
            }
            insert.executeBatch();
        }
        equal(one(connections.get(1), "select count(*) from t_prepared"), "100");
        for (Connection connection : connections) connection.close();
    }

    static void pieces(Map<String, String> order) throws Exception {
        try (Connection connection = connect(order); Connection other = connect(order)) {
            freshTable(connection, "t_pieces", "n int");
            StringJoiner values = new StringJoiner(", ");
            for (int n = 0; n < 1000; n++) values.add("(" + n + ")");
            run(connection, "insert into t_pieces values " + values);
            try (PreparedStatement select = connection.prepareStatement("select n from t_pieces order by n")) {
                select.setFetchSize(100);
                ResultSet result = select.executeQuery();
                int expected = 0;
                while (result.next()) equal(result.getInt(1), expected++);
                equal(expected, 1000);
            }
            equal(one(other, "select 1"), "1");
        }
    }

    static void bigRows(Map<String, String> order) throws Exception {
        try (Connection connection = connect(order)) {
            for (int length : new int[] {300_000, 17 * MIB, (1 << 24) - 1 - 4}) {
                equal(one(connection, "select repeat('x', " + length + ")").length(), length);
                equal(one(connection, "select 1"), "1");
            }
        }
    }

    static void bigParameters(Map<String, String> order) throws Exception {
        for (String prepares : new String[] {"useServerPrepStmts=true", "useServerPrepStmts=false"}) {
            try (Connection connection = connect(order, prepares);
                 PreparedStatement select = connection.prepareStatement("select length(?)")) {
                for (int length : new int[] {300_000, 17 * MIB}) {
                    byte[] bytes = new byte[length];
                    Arrays.fill(bytes, (byte) 'x');
                    select.setString(1, new String(bytes, StandardCharsets.US_ASCII));
                    ResultSet result = select.executeQuery();
                    result.next();
                    equal(result.getInt(1), length);
                    // As pieces, ahead of the execution.
                    select.setBinaryStream(1, new java.io.ByteArrayInputStream(bytes));
                    result = select.executeQuery();
                    result.next();
                    equal(result.getInt(1), length);
                    equal(one(connection, "select 1"), "1");
                }
            }
        }
    }

    static void statements(Map<String, String> order) throws Exception {
        try (Connection connection = connect(order); Statement statement = connection.createStatement()) {
            statement.execute("select 'one'; select 'two', '2'; set @x = 3; select concat(@x)");
            List<Object> seen = new ArrayList<>();
            while (true) {
                if (statement.getResultSet() != null) seen.addAll(rows(statement.getResultSet()));
                if (!statement.getMoreResults() && statement.getUpdateCount() == -1) break;
            }
            equal(seen, List.of(List.of("one"), List.of("two", "2"), List.of("3")));
            equal(failure(() -> statement.execute("select 1; selec")), 1064);
            equal(one(connection, "select 1"), "1");
        }
    }

    static void procedures(Map<String, String> order) throws Exception {
        try (Connection connection = connect(order)) {
            run(connection, "drop procedure if exists two_results");
            run(connection, "create procedure two_results(a int, out c int) begin select a; select a + 1, 'b'; set c = 7; end");
            try (CallableStatement call = connection.prepareCall("{call two_results(?, ?)}")) {
                for (int round = 0; round < 2; round++) {
                    call.setInt(1, 41);
                    call.registerOutParameter(2, Types.INTEGER);
                    equal(call.execute(), true);
                    equal(rows(call.getResultSet()), List.of(List.of(41)));
                    equal(call.getMoreResults(), true);
                    ResultSet second = call.getResultSet();
                    second.next();
                    equal(second.getString(1) + second.getString(2), "42b");
                    equal(call.getInt(2), 7);
                    equal(one(connection, "select 1"), "1");
                }
            }
        }
    }

    static void localInfile(Map<String, String> order) throws Exception {
        boolean refused = Arrays.asList(order.get("features").split(",")).contains("local-infile-refused");
        Path file = Files.createTempFile("connector-j-", ".csv");
        StringBuilder text = new StringBuilder();
        for (int n = 0; n < 20_000; n++) text.append(n).append(",word ").append(n).append('\n');
        Files.writeString(file, text);
        try (Connection connection = connect(order)) {
            freshTable(connection, "t_infile", "n int, word varchar(20)");
            String load = "load data local infile '" + file + "' into table t_infile fields terminated by ','";
            if (refused) {
                int number = failure(() -> run(connection, load));
                if (!Set.of(1148, 3948, 4166).contains(number)) throw new AssertionError("refused with " + number);
            } else {
                equal(run(connection, load), 20_000);
            }
            equal(one(connection, "select count(*) from t_infile"), refused ? "0" : "20000");
        } finally {
            Files.delete(file);
        }
    }

    static void settings(Map<String, String> order) throws Exception {
        try (Connection connection = connect(order, "sessionVariables=sql_mode=ANSI_QUOTES"); Connection other = connect(order)) {
            run(connection, "set time_zone = '+05:00'");
            run(other, "set @mine = 'other'");
            for (int round = 0; round < 4; round++) {
                equal(one(connection, "select concat_ws(' ', @@time_zone, @@sql_mode, ifnull(@mine, 'none'))"),
                    "+05:00 ANSI_QUOTES none");
                equal(one(other, "select concat_ws(' ', @@time_zone, @mine)"), "SYSTEM other");
            }
            String own = connection.getCatalog();
            connection.setCatalog("information_schema");
            equal(one(connection, "select database()"), "information_schema");
            connection.setCatalog(own);
            equal(one(connection, "select database()"), own);
            connection.setReadOnly(true);
            equal(connection.isReadOnly(), true);
        }
    }

    static void kill(Map<String, String> order) throws Exception {
        try (Connection victim = connect(order); Connection other = connect(order); Statement sleeping = victim.createStatement()) {
            long began = System.nanoTime();
            ExecutorService executor = Executors.newSingleThreadExecutor();
            Future<Integer> ended = executor.submit(() -> failure(() -> {
                ResultSet result = sleeping.executeQuery("select sleep(25)");
                result.next();
                equal(result.getInt(1), 1);
                return null;
            }));
            String find = "select count(*) from information_schema.processlist where info = 'select sleep(25)'";
            while (one(other, find).equals("0")) {
                if (System.nanoTime() - began > 10e9) throw new AssertionError("it does not begin to sleep");
            }
            // A connection of its own and KILL QUERY, by the number of the greeting.
            sleeping.cancel();
            int number = ended.get();
            executor.shutdown();
            if (number != 0 && number != 1317) throw new AssertionError("sleeping failed with " + number);
            if (System.nanoTime() - began > 20e9) throw new AssertionError("it slept to the end");
            equal(one(victim, "select 1"), "1");
        }
    }

    static void warnings(Map<String, String> order) throws Exception {
        try (Connection connection = connect(order); Statement statement = connection.createStatement()) {
            statement.executeQuery("select cast('abc' as signed)");
            equal(statement.getWarnings().getErrorCode(), 1292);
            statement.executeQuery("select 1");
            equal(statement.getWarnings(), null);
        }
    }

    static void insertId(Map<String, String> order) throws Exception {
        try (Connection connection = connect(order); Connection other = connect(order)) {
            freshTable(connection, "t_insert_id", "id int primary key auto_increment, n int");
            for (int expected = 1; expected < 6; expected += 2) {
                try (PreparedStatement insert =
                        connection.prepareStatement("insert into t_insert_id (n) values (?)", Statement.RETURN_GENERATED_KEYS)) {
                    insert.setInt(1, 1);
                    insert.executeUpdate();
                    ResultSet keys = insert.getGeneratedKeys();
                    keys.next();
                    equal(keys.getInt(1), expected);
                }
                run(other, "insert into t_insert_id (n) values (2)");
                equal(one(connection, "select last_insert_id()"), "" + expected);
                equal(one(other, "select last_insert_id()"), "" + (expected + 1));
            }
        }
    }

    static void foundRows(Map<String, String> order) throws Exception {
        try (Connection plain = connect(order); Connection counting = connect(order, "useAffectedRows=false")) {
            freshTable(plain, "t_found", "n int");
            run(plain, "insert into t_found values (1), (2)");
            equal(run(counting, "update t_found set n = n"), 2);
            equal(run(plain, "update t_found set n = n"), 0);
        }
    }

    static void compression(Map<String, String> order) throws Exception {
        try (Connection connection = connect(order)) {
            for (int length : new int[] {1, 60, 5_000, 70_000, 300_000}) {
                String text = "na".repeat(length).substring(0, length);
                equal(one(connection, "select '" + text + "'"), text);
            }
        }
    }

    static String attempt(String feature, Map<String, String> order) {
        try {
            FEATURES.get(feature).run(order);
            return "ok";
        } catch (Missing missing) {
            return "-";
        } catch (Throwable error) {
            StringBuilder lines = new StringBuilder();
            for (StackTraceElement frame : error.getStackTrace()) {
                if (frame.getClassName().startsWith("Drivers")) lines.append(' ').append(frame.getLineNumber());
            }
            return (error + " at" + lines).replace('\n', ' ').replace('\t', ' ');
        }
    }

    static String logIn(Map<String, String> order) {
        try (Connection connection = connect(order)) {
            equal(one(connection, "select 1"), "1");
            return "ok";
        } catch (SQLException error) {
            return (error.getErrorCode() + " " + error.getMessage()).replace('\n', ' ').replace('\t', ' ');
        }
    }

    public static void main(String[] arguments) {
        for (String argument : arguments) {
            Map<String, String> order = new HashMap<>();
            for (String word : argument.split(" ")) order.put(word.split("=", 2)[0], word.split("=", 2)[1]);
            if (order.containsKey("login")) {
                System.out.println(order.get("login") + "\t" + logIn(order));
                continue;
            }
            for (String feature : order.get("features").split(",")) {
                System.out.println(feature + "\t" + attempt(feature, order));
            }
        }
    }
}
