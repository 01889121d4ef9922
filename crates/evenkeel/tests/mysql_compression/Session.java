import java.sql.*;

/** A compressed session of MariaDB's Connector/J: port, user, password, database, another user. */
public class Session {
    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:mariadb://127.0.0.1:" + arguments[0] + "/" + arguments[3] + "?useCompression=true";
        try (Connection session = DriverManager.getConnection(url, arguments[1], arguments[2])) {
            for (int length : new int[] {1, 60, 70_000, 2_000_000}) {
                String text = "na".repeat(length).substring(0, length);
                try (PreparedStatement statement = session.prepareStatement("select ?")) {
                    statement.setString(1, text);
                    ResultSet rows = statement.executeQuery();
                    expect(rows.next() && rows.getString(1).equals(text), "a text of " + length);
                }
            }
            ResultSet rows = session.createStatement().executeQuery("select n from seq order by n");
            for (int n = 0; n < 2000; n++) {
                expect(rows.next() && rows.getInt(1) == n, "row " + n);
            }
        }
        System.out.println("done");
    }

    private static void expect(boolean held, String what) {
        if (!held) {
            throw new AssertionError(what);
        }
    }
}
