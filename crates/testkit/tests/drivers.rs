//! The drivers of other languages against the servers themselves, without any pooler: what the matrix of drivers relies on.

use std::fs;

use testkit::drivers::{self, Runtime};
use testkit::mysql::{Login, Options, for_each_server, skipped};
use testkit::{MyWire, Result};

/// Runs a script with the port as its argument on both servers, where the language is installed.
fn says_42(language: &str, runtime: Result<Runtime>, file: &str, script: &str) -> Result<()> {
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(why) => {
            skipped(language, &format!("{why:#}"));
            return Ok(());
        }
    };
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(file);
    fs::write(&path, script)?;
    for_each_server(&Options::new().user("app", "pw", Login::Usual).database("shop"), |server| {
        // MySQL remembers the password from here on, for drivers that do not encrypt it.
        MyWire::log_in(&server.address(), "app", "pw", Some("shop"))?.quit()?;
        let said = runtime.run(&path, &[&server.port().to_string()])?;
        assert!(said.lines().all(|line| line == "42") && !said.is_empty(), "{said}");
        Ok(())
    })
}

#[test]
fn python_drivers_prepare_and_read() -> Result<()> {
    let script = r"
import sys
import mysql.connector, pymysql, MySQLdb

where = dict(host='127.0.0.1', port=int(sys.argv[1]), user='app', password='pw', database='shop')
for driver in (mysql.connector, pymysql, MySQLdb):
    connection = driver.connect(**where)
    cursor = connection.cursor()
    cursor.execute('select %s + 1', (41,))
    print(int(cursor.fetchone()[0]))
    connection.close()

connection = mysql.connector.connect(use_pure=True, **where)
cursor = connection.cursor(prepared=True)
cursor.execute('select ? + 1', (41,))
print(int(cursor.fetchone()[0]))
";
    says_42("Python", drivers::python(), "script.py", script)
}

#[test]
fn node_drivers_prepare_and_read() -> Result<()> {
    let script = r"
const mysql = require('mysql2/promise');
(async () => {
  const port = Number(process.argv[2]);
  const connection = await mysql.createConnection({host: '127.0.0.1', port, user: 'app', password: 'pw', database: 'shop'});
  const [text] = await connection.query('select ? + 1 as n', [41]);
  console.log(Number(text[0].n));
  const [prepared] = await connection.execute('select cast(? as signed) + 1 as n', [41]);
  console.log(Number(prepared[0].n));
  await connection.end();
})();
";
    says_42("Node", drivers::node(), "script.js", script)
}

#[test]
fn java_drivers_prepare_and_read() -> Result<()> {
    let script = r#"
import java.sql.*;

public class Script {
    public static void main(String[] arguments) throws Exception {
        String where = "jdbc:mariadb://127.0.0.1:" + arguments[0] + "/shop?user=app&password=pw&useServerPrepStmts=";
        for (String prepared : new String[] {"false", "true"}) {
            try (Connection connection = DriverManager.getConnection(where + prepared);
                 PreparedStatement statement = connection.prepareStatement("select ? + 1")) {
                statement.setInt(1, 41);
                ResultSet result = statement.executeQuery();
                result.next();
                System.out.println(result.getInt(1));
            }
        }
    }
}
"#;
    says_42("Java", drivers::java(), "Script.java", script)
}
