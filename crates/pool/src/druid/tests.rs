use std::time::Duration;

use super::*;
use crate::settings::Settings;

/// The example of PolarDB-X's page on application-side pools (seeds/003), all 16 properties of it. The ampersands are its own.
const SEED: &str = r#"
<bean id="dataSource" class="com.alibaba.druid.pool.DruidDataSource" init-method="init" destroy-method="close">
    <property name="driverClassName" value="com.mysql.jdbc.Driver" />
    <!-- 基本属性 URL、user、password -->
    <property name="url" value="jdbc:mysql://ip:port/db?autoReconnect=true&rewriteBatchedStatements=true&socketTimeout=30000&connectTimeout=3000" />
    <property name="username" value="root" />
    <property name="password" value="123456" />
    <property name="maxActive" value="20" />
    <property name="initialSize" value="3" />
    <property name="minIdle" value="3" />
    <property name="maxWait" value="60000" />
    <property name="timeBetweenEvictionRunsMillis" value="60000" />
    <property name="minEvictableIdleTimeMillis" value="300000" />
    <property name="validationQuery" value="select 'z' from dual" />
    <property name="testWhileIdle" value="true" />
    <property name="testOnBorrow" value="false" />
    <property name="testOnReturn" value="false" />
    <property name="phyTimeoutMillis" value="600000" />
    <property name="phyMaxUseCount" value="10000" />
</bean>
"#;

fn one(text: &str) -> Import {
    let mut imports = import(text).unwrap();
    assert_eq!(imports.len(), 1);
    imports.remove(0)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The outcome and the lines of one property.
fn of(import: &Import, property: &str) -> (Outcome, Vec<String>) {
    let note = import.notes.iter().find(|note| note.property == property).expect("there is a note for each");
    (note.outcome, note.settings.iter().map(ToString::to_string).collect())
}

#[test]
fn every_property_of_the_seed_is_told() {
    use Outcome::{Default, Ignored, Mapped};
    let seed = one(SEED);
    assert_eq!(seed.name.as_deref(), Some("dataSource"));
    for (property, outcome, lines) in [
        ("driverClassName", Mapped, &["protocol = \"mysql\""][..]),
        ("url", Mapped, &["protocol = \"mysql\"", "address = \"ip:3306\"", "name = \"db\""]),
        ("url?autoReconnect", Ignored, &[]),
        ("url?rewriteBatchedStatements", Ignored, &[]),
        ("url?socketTimeout", Ignored, &[]),
        ("url?connectTimeout", Mapped, &["connect_timeout = \"3s\""]),
        ("username", Mapped, &["name = \"root\""]),
        ("password", Ignored, &[]),
        ("maxActive", Mapped, &["budget = 20", "max = 20"]),
        ("initialSize", Mapped, &["initial = 3"]),
        ("minIdle", Mapped, &["min_idle = 3"]),
        ("maxWait", Mapped, &["checkout_timeout = \"1m\""]),
        ("timeBetweenEvictionRunsMillis", Mapped, &["maintenance_interval = \"1m\""]),
        ("minEvictableIdleTimeMillis", Mapped, &["idle_timeout = \"5m\""]),
        ("validationQuery", Default, &[]),
        ("testWhileIdle", Mapped, &["test_on_checkout = \"1m\""]),
        ("testOnBorrow", Default, &[]),
        ("testOnReturn", Mapped, &["test_on_return = false"]),
        ("phyTimeoutMillis", Mapped, &["max_lifetime = \"10m\""]),
        ("phyMaxUseCount", Mapped, &["max_uses = 10000"]),
        ("maxEvictableIdleTimeMillis", Default, &[]),
        ("keepAlive", Default, &[]),
    ] {
        assert_eq!(of(&seed, property), (outcome, lines.iter().map(|line| (*line).to_owned()).collect()), "{property}");
    }
    assert_eq!(seed.notes.len(), 16 + 4 + 2, "the properties, the URL's parameters, and what Druid does unasked");
    let expected = Settings {
        budget: 20,
        checkout_timeout: secs(60),
        connect_timeout: secs(3),
        idle_timeout: Some(secs(300)),
        max_lifetime: Some(secs(600)),
        max_uses: Some(10_000),
        maintenance_interval: secs(60),
        test_on_checkout: Some(secs(60)),
        ..Settings::default()
    };
    assert_eq!(seed.options.settings, expected);
    assert_eq!((seed.options.route.cap, seed.options.route.min_idle, seed.options.initial), (Some(20), 3, 3));
    assert_eq!(seed.options.session.validation_query, "");
}

#[test]
fn secrets_are_not_shown() {
    let text = "druid.password=hunter2\ndruid.url=jdbc:mysql://db/shop?user=a&password=hunter2\n\
                druid.connectionPassword=hunter2\n";
    let shown = format!("{:?}", import(text).unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn what_hangs_together_is_translated_together() {
    for (text, property, lines) in [
        ("testOnBorrow=true\ntestWhileIdle=true", "testOnBorrow", &["test_on_checkout = \"always\""][..]),
        ("testOnBorrow=true\ntestWhileIdle=true", "testWhileIdle", &[]),
        ("testWhileIdle=true", "testWhileIdle", &["test_on_checkout = \"1m\""]),
        ("testWhileIdle=false", "testWhileIdle", &["test_on_checkout = \"off\""]),
        ("testWhileIdle=true\ntimeBetweenEvictionRunsMillis=5000", "testWhileIdle", &["test_on_checkout = \"5s\""]),
        ("keepAlive=true", "keepAlive", &["test_while_idle = \"2m\""]),
        ("keepAlive=true\nkeepAliveBetweenTimeMillis=90000", "keepAlive", &["test_while_idle = \"1m30s\""]),
        ("keepAliveBetweenTimeMillis=90000", "keepAliveBetweenTimeMillis", &[]),
        ("keepAlive=false", "keepAlive", &["test_while_idle = \"off\""]),
        ("removeAbandoned=true", "removeAbandoned", &["leak_timeout = \"5m\""]),
        ("removeAbandoned=true\nremoveAbandonedTimeout=180", "removeAbandoned", &["leak_timeout = \"3m\""]),
        ("removeAbandoned=true\nremoveAbandonedTimeoutMillis=1500", "removeAbandoned", &["leak_timeout = \"1s500ms\""]),
        (
            "validationQuery=select 1\nurl=jdbc:postgresql://db/x",
            "validationQuery",
            &["validation_query = \"select 1\""],
        ),
        ("validationQuery=select 1\nurl=jdbc:mysql://db/x", "validationQuery", &[]),
        (
            "validationQuery=select 1\nurl=jdbc:mysql://db/x\nusePingMethod=false",
            "validationQuery",
            &["validation_query = \"select 1\""],
        ),
        ("validationQueryTimeout=2", "validationQueryTimeout", &["validate_timeout = \"2s\""]),
        ("maxWait=0", "maxWait", &[]),
        ("maxWait=-1", "maxWait", &[]),
        ("phyTimeoutMillis=-1", "phyTimeoutMillis", &["max_lifetime = \"off\""]),
        ("connectionInitSqls=set a = 'x\\\\y'", "connectionInitSqls", &["init_sql = \"set a = 'x\\\\\\\\y'\""]),
        ("maxWaitThreadCount=64", "maxWaitThreadCount", &["max_waiters = 64"]),
        ("maxCreateTaskCount=3", "maxCreateTaskCount", &["connect_concurrency = 3"]),
        ("initialSize=1", "maxActive", &["budget = 8", "max = 8"]),
    ] {
        assert_eq!(of(&one(text), property).1, lines, "{text}");
    }
}

/// The link to the server was the driver's and is ours now: dropped, it would be `prefer`, which trusts whoever answers.
#[test]
fn encryption_of_the_url_is_not_dropped() {
    for (text, property, lines) in [
        ("url=jdbc:mysql://db/x?sslMode=VERIFY_IDENTITY", "url?sslMode", &["tls = \"verify_full\""][..]),
        ("url=jdbc:mysql://db/x?useSSL=true&requireSSL=true", "url?requireSSL", &["tls = \"require\""]),
        ("url=jdbc:postgresql://db/x?sslmode=verify-full", "url?sslmode", &["tls = \"verify_full\""]),
        (
            "url=jdbc:postgresql://db/x?sslmode=verify-ca&sslrootcert=/etc/ca.crt",
            "url?sslrootcert",
            &["tls_ca = \"/etc/ca.crt\""],
        ),
        (
            "url=jdbc:mysql://db/x\nconnectionProperties=druid.stat.mergeSql=true;useSSL=true;requireSSL=true",
            "connectionProperties?requireSSL",
            &["tls = \"require\""],
        ),
        ("url=jdbc:mysql://db/x?trustCertificateKeyStoreUrl=file:a", "url?trustCertificateKeyStoreUrl", &[]),
    ] {
        let import = one(text);
        assert_eq!(of(&import, property).1, lines, "{text}");
        let told = import.notes.iter().any(|note| note.why.contains("stays as it is"));
        assert!(!told, "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_said_and_sets_nothing() {
    for (text, property) in [
        ("maxActive=${jdbc.max}", "maxActive"),
        ("maxActive=0", "maxActive"),
        ("testWhileIdle=yes", "testWhileIdle"),
        ("phyTimeoutMillis=99999999999999", "phyTimeoutMillis"),
        ("url=jdbc:oracle:thin:@db", "url"),
        ("url=jdbc:mysql://db/x?sslMode=${mode}", "url?sslMode"),
    ] {
        assert_eq!(of(&one(text), property), (Outcome::Unreadable, vec![]), "{text}");
    }
    let typo = one("druid.maxActiv=20");
    let note = &typo.notes[0];
    assert_eq!(
        (note.outcome, &*note.why),
        (Outcome::Ignored, "no property of Druid that is known here; `maxActive` is")
    );
    assert_eq!(import("<beans></beans>"), Err(Error::NoDataSource));
    assert_eq!(import("a = 1"), Err(Error::NoDataSource));
    assert_eq!(import(&" ".repeat(TEXT_LEN_MAX + 1)), Err(Error::TooLong));
}

/// The fragment and the options say the same.
#[cfg(feature = "serde")]
#[test]
fn the_lines_are_read_as_what_was_set() {
    let all = format!(
        "{SEED}<property name='keepAlive' value='true'/><property name='removeAbandoned' value='true'/>\
         <property name='maxWaitThreadCount' value='64'/><property name='validationQueryTimeout' value='2'/>\
         <property name='maxEvictableIdleTimeMillis' value='900000'/><property name='maxActive' value='20'/>\
         <property name='maxCreateTaskCount' value='3'/><property name='usePingMethod' value='false'/>\
         <property name='connectionInitSqls' value='set a = \"\\\"'/><property name='validationQuery' value='select 1'/>"
    );
    for import in import(&all).unwrap() {
        let settings = import.notes.iter().flat_map(|note| &note.settings);
        let pool = settings.filter(|setting| setting.place == Place::Pool || setting.key == "budget");
        let lines: std::collections::BTreeSet<String> = pool.map(ToString::to_string).collect();
        let text = lines.into_iter().collect::<Vec<_>>().join("\n");
        assert_eq!(toml::from_str::<Options>(&text).unwrap(), import.options, "{text}");
    }
}

#[test]
fn every_property_is_known_once() {
    let mut names: Vec<_> = translate::known().collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}
