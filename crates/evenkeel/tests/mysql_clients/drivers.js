// mysql2's part of the matrix; see drivers.py for what orders and reports look like.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const mysql = require('mysql2/promise');

const MIB = 1 << 20;
const INTERRUPTED = 1317;

class Missing extends Error {}

function connect(order, more = {}) {
  const options = {
    host: '127.0.0.1',
    port: Number(order.port),
    user: order.user,
    password: order.password,
    database: order.database,
    multipleStatements: true,
    supportBigNumbers: true,
    infileStreamFactory: (file) => fs.createReadStream(file),
    // It counts rows found unless told otherwise.
    flags: ['-FOUND_ROWS'],
    ...more,
  };
  if (order.channel === 'compressed') options.compress = true;
  if (order.channel === 'tls') options.ssl = {ca: fs.readFileSync(order.ca)};
  return mysql.createConnection(options);
}

async function rows(connection, sql, parameters) {
  const [result] = await connection.query({sql, rowsAsArray: true}, parameters);
  return result;
}

async function one(connection, sql, parameters) {
  const [[value]] = await rows(connection, sql, parameters);
  return value;
}

async function freshTable(connection, name, columns) {
  await connection.query(`drop table if exists ${name}`);
  await connection.query(`create table ${name} (${columns})`);
}

async function failure(promise) {
  try {
    await promise;
    return null;
  } catch (error) {
    return error.errno ?? String(error);
  }
}

const features = {
  async queries(order) {
    const connection = await connect(order);
    assert.deepEqual(await rows(connection, "select 1, 'a', null"), [[1, 'a', null]]);
    await freshTable(connection, 't_queries', 'id int primary key, word varchar(40)');
    const inserted = await rows(connection, 'insert into t_queries values (1, ?), (2, ?)', ["it's", 'b']);
    assert.equal(inserted.affectedRows, 2);
    assert.equal(await failure(connection.query("insert into t_queries values (1, 'again')")), 1062);
    assert.equal(await failure(connection.query('selec')), 1064);
    await connection.ping();
    assert.deepEqual(await rows(connection, 'select * from t_queries order by id'), [[1, "it's"], [2, 'b']]);
    await connection.end();
  },

  async types(order) {
    const connection = await connect(order, {dateStrings: true});
    await freshTable(
      connection, 't_types',
      'i int, u bigint unsigned, d decimal(20,6), f double, s varchar(100) character set utf8mb4, b blob, ' +
        "t datetime(6), m time, y date, n int null, e enum('a','b'), j json",
    );
    const bytes = Buffer.from(Array.from({length: 256}, (_, n) => n));
    const values = [
      -(2 ** 31), '18446744073709551615', '12345678901234.567891', 0.1, 'naïve 🐘 “quoted”', bytes,
      '2024-02-29 23:59:59.123456', '-08:30:01', '1999-12-31', null, 'b',
    ];
    await connection.execute(`insert into t_types values (${'?, '.repeat(11)}?)`, [...values, '{"a": [1, null]}']);
    for (const way of ['query', 'execute', 'execute']) {
      const [[seen]] = await connection[way]({sql: 'select * from t_types', rowsAsArray: true});
      const document = seen.pop();
      assert.deepEqual(seen, values);
      assert.deepEqual(typeof document === 'string' ? JSON.parse(document) : document, {a: [1, null]});
    }
    await connection.end();
  },

  async transactions(order) {
    const [writer, reader] = [await connect(order), await connect(order)];
    await freshTable(writer, 't_transactions', 'n int');
    const count = 'select count(*) from t_transactions';
    for (const [end, expected] of [['commit', 1], ['rollback', 1], ['commit', 2]]) {
      await writer.beginTransaction();
      await writer.execute('insert into t_transactions values (?)', [1]);
      assert.equal((await one(reader, count)) + 1, await one(writer, count));
      await writer[end]();
      assert.equal(await one(reader, count), expected);
    }
    await writer.end();
    await reader.end();
  },

  async autocommit(order) {
    const [writer, reader] = [await connect(order), await connect(order)];
    await freshTable(writer, 't_autocommit', 'n int');
    await writer.query('set autocommit = 0');
    await writer.query('insert into t_autocommit values (1)');
    assert.equal(await one(reader, 'select count(*) from t_autocommit'), 0);
    await writer.rollback();
    assert.equal(await one(writer, 'select count(*) from t_autocommit'), 0);
    assert.equal(await one(writer, 'select @@autocommit'), 0);
    assert.equal(await one(reader, 'select @@autocommit'), 1);
    await writer.commit();
    await writer.end();
    await reader.end();
  },

  async prepared(order) {
    const connections = await Promise.all([connect(order), connect(order), connect(order)]);
    const statements = await Promise.all(connections.map((c) => c.prepare('select ? + 1 as n, @@pseudo_thread_id as t')));
    const servers = new Set();
    for (let round = 0; round < 12; round++) {
      const holder = connections[round % 3];
      if (order.mode !== 'statement') await holder.beginTransaction();
      for (const [number, statement] of statements.entries()) {
        const [[row]] = await statement.execute([number]);
        assert.equal(Number(row.n), number + 1);
        servers.add(row.t);
        const [[text]] = await connections[number].execute("select concat(?, '!') as word", [`${number}`]);
        assert.equal(text.word, `${number}!`);
      }
      if (order.mode !== 'statement') await holder.rollback();
    }
    if (order.mode === 'transaction') assert.equal(servers.size, 2);
    assert.equal(await failure(connections[0].execute('select ? from nowhere', [1])), 1146);
    await statements[0].close();
    for (const connection of connections) await connection.end();
  },

  async pieces(order) {
    const [connection, other] = [await connect(order), await connect(order)];
    await freshTable(connection, 't_pieces', 'n int');
    await connection.query('insert into t_pieces values ?', [Array.from({length: 1000}, (_, n) => [n])]);
    let expected = 0;
    const stream = connection.connection.query('select n from t_pieces order by n').stream({highWaterMark: 10});
    for await (const row of stream) assert.equal(row.n, expected++);
    assert.equal(expected, 1000);
    assert.equal(await one(other, 'select 1'), 1);
    await connection.end();
    await other.end();
  },

  async 'big-rows'(order) {
    const connection = await connect(order);
    for (const length of [300_000, 17 * MIB, (1 << 24) - 1 - 4]) {
      assert.equal((await one(connection, `select repeat('x', ${length})`)).length, length);
      assert.equal(await one(connection, 'select 1'), 1);
    }
    await connection.end();
  },

  async 'big-parameters'(order) {
    const connection = await connect(order);
    for (const length of [300_000, 17 * MIB]) {
      assert.equal(await one(connection, 'select length(?)', ['x'.repeat(length)]), length);
      const [[[seen]]] = await connection.execute({sql: 'select length(?)', rowsAsArray: true}, [Buffer.alloc(length, 'x')]);
      assert.equal(seen, length);
      assert.equal(await one(connection, 'select 1'), 1);
    }
    await connection.end();
  },

  async statements(order) {
    const connection = await connect(order);
    const [one_, two, set, three] = await rows(connection, "select 1; select 'two', 2; set @x = 3; select @x + 0");
    assert.deepEqual([one_, two, three], [[[1]], [['two', 2]], [[3]]]);
    assert.equal(set.affectedRows, 0);
    assert.equal(await failure(connection.query('select 1; selec')), 1064);
    assert.equal(await one(connection, 'select 1'), 1);
    await connection.end();
  },

  async procedures(order) {
    const connection = await connect(order);
    await connection.query('drop procedure if exists two_results');
    await connection.query("create procedure two_results(a int) begin select a; select a + 1, 'b'; end");
    for (const way of ['query', 'execute', 'query', 'execute']) {
      const [results] = await connection[way]({sql: 'call two_results(?)', rowsAsArray: true}, [41]);
      assert.deepEqual(results.slice(0, 2), [[[41]], [[42, 'b']]]);
      assert.equal(await one(connection, 'select 1'), 1);
    }
    await connection.end();
  },

  async 'local-infile'(order) {
    const refused = order.features.split(',').includes('local-infile-refused');
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'mysql2-'));
    const file = path.join(folder, 'rows.csv');
    fs.writeFileSync(file, Array.from({length: 20_000}, (_, n) => `${n},word ${n}\n`).join(''));
    const connection = await connect(order);
    await freshTable(connection, 't_infile', 'n int, word varchar(20)');
    const load = connection.query(`load data local infile '${file}' into table t_infile fields terminated by ','`);
    if (refused) {
      assert.ok([1148, 3948, 4166].includes(await failure(load)));
    } else {
      assert.equal((await load)[0].affectedRows, 20_000);
    }
    assert.equal(await one(connection, 'select count(*) from t_infile'), refused ? 0 : 20_000);
    await connection.end();
    fs.rmSync(folder, {recursive: true});
  },

  async settings(order) {
    const [one_, other] = [await connect(order), await connect(order)];
    await one_.query("set time_zone = '+05:00', sql_mode = 'ANSI_QUOTES'");
    await one_.query('set names latin1');
    await other.query("set @mine = 'other'");
    for (let round = 0; round < 4; round++) {
      const seen = await rows(one_, 'select @@time_zone, @@sql_mode, @@character_set_client, @mine');
      assert.deepEqual(seen, [['+05:00', 'ANSI_QUOTES', 'latin1', null]]);
      assert.deepEqual(await rows(other, 'select @@time_zone, @mine'), [['SYSTEM', 'other']]);
    }
    await one_.end();
    await other.end();
  },

  async kill(order) {
    const [victim, killer] = [await connect(order), await connect(order)];
    assert.equal(await one(victim, 'select connection_id()'), victim.threadId);
    const began = Date.now();
    const sleeping = one(victim, 'select sleep(25)').catch((error) => error.errno);
    const find = "select count(*) from information_schema.processlist where info = 'select sleep(25)'";
    while ((await one(killer, find)) === 0) assert.ok(Date.now() - began < 10_000, 'it does not begin to sleep');
    await killer.query('kill query ?', [victim.threadId]);
    assert.ok([1, INTERRUPTED].includes(await sleeping));
    assert.ok(Date.now() - began < 20_000, 'it slept to the end');
    assert.equal(await one(victim, 'select 1'), 1);
    await victim.end();
    await killer.end();
  },

  async 'change-user'(order) {
    const connection = await connect(order);
    await connection.query('set @mine = 1');
    for (const user of ['second', order.user, 'second']) {
      await connection.changeUser({user, password: order.password, database: order.database});
      assert.deepEqual(await rows(connection, 'select current_user(), @mine'), [[`${user}@%`, null]]);
    }
    await connection.end();
  },

  async reset(order) {
    const connection = await connect(order);
    if (!connection.reset) throw new Missing();
    await connection.query("set @mine = 1, time_zone = '+03:00'");
    await connection.query('create temporary table t_reset (n int)');
    await connection.reset();
    assert.deepEqual(await rows(connection, 'select @mine, @@time_zone'), [[null, 'SYSTEM']]);
    assert.equal(await failure(connection.query('select * from t_reset')), 1146);
    await connection.end();
  },

  async warnings(order) {
    const connection = await connect(order);
    await freshTable(connection, 't_warnings', 'n int');
    const inserted = await rows(connection, "insert ignore into t_warnings values ('abc')");
    assert.equal(inserted.warningStatus, 1);
    assert.deepEqual((await rows(connection, 'show warnings')).map((row) => row[1]), [1366]);
    // MariaDB keeps them until a statement reads a table.
    await connection.query('select count(*) from t_warnings');
    assert.deepEqual(await rows(connection, 'show warnings'), []);
    await connection.end();
  },

  async 'insert-id'(order) {
    const [connection, other] = [await connect(order), await connect(order)];
    await freshTable(connection, 't_insert_id', 'id int primary key auto_increment, n int');
    for (const expected of [1, 3, 5]) {
      const [inserted] = await connection.execute('insert into t_insert_id (n) values (?)', [1]);
      assert.equal(inserted.insertId, expected);
      await other.query('insert into t_insert_id (n) values (2)');
      assert.equal(await one(connection, 'select last_insert_id()'), expected);
      assert.equal(await one(other, 'select last_insert_id()'), expected + 1);
    }
    await connection.end();
    await other.end();
  },

  async 'found-rows'(order) {
    const [plain, counting] = [await connect(order), await connect(order, {flags: ['FOUND_ROWS']})];
    await freshTable(plain, 't_found', 'n int');
    await plain.query('insert into t_found values (1), (2)');
    assert.equal((await rows(counting, 'update t_found set n = n')).affectedRows, 2);
    assert.equal((await rows(plain, 'update t_found set n = n')).affectedRows, 0);
    await plain.end();
    await counting.end();
  },

  async compression(order) {
    const connection = await connect(order);
    for (const length of [1, 60, 5000, 70000, 300000]) {
      const text = 'na'.repeat(length).slice(0, length);
      assert.equal(await one(connection, 'select ?', [text]), text);
    }
    await connection.end();
  },
};
features['local-infile-refused'] = features['local-infile'];

async function attempt(feature, order) {
  try {
    await features[feature](order);
    return 'ok';
  } catch (error) {
    if (error instanceof Missing) return '-';
    const line = /drivers\.js:\d+/.exec(error.stack);
    return `${line ?? ''} ${error.errno ?? ''} ${error.message}`.replaceAll('\n', ' ');
  }
}

async function logIn(order) {
  try {
    const connection = await connect(order);
    assert.equal(await one(connection, 'select 1'), 1);
    await connection.end();
    return 'ok';
  } catch (error) {
    return `${error.errno ?? ''} ${error.message}`.replaceAll('\n', ' ');
  }
}

async function main() {
  for (const argument of process.argv.slice(2)) {
    const order = Object.fromEntries(argument.split(' ').map((word) => word.split(/=(.*)/s)));
    if (order.login) {
      console.log(`${order.login}\t${await logIn(order)}`);
      continue;
    }
    for (const feature of order.features.split(',')) console.log(`${feature}\t${await attempt(feature, order)}`);
  }
}

main().then(() => process.exit(0));
