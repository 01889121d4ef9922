// A compressed session of mysql2: port, user, password, database, another user.
const assert = require('node:assert');
const mysql = require('mysql2/promise');

async function main([port, user, password, database, other]) {
  // What it thinks of the numbers of packets goes there.
  console.error = (line) => assert.fail(line);
  const session = await mysql.createConnection({
    host: '127.0.0.1', port: Number(port), user, password, database, compress: true,
  });
  for (const length of [1, 60, 70_000, 2_000_000]) {
    const text = 'na'.repeat(length).slice(0, length);
    const [rows] = await session.query('select ? as text', [text]);
    assert.ok(rows.length === 1 && rows[0].text === text, `${length}`);
  }
  const [rows] = await session.query('select n from seq order by n');
  assert.strictEqual(rows.length, 2000);
  for (let n = 0; n < 3; n++) {
    const [rows] = await session.execute('select n + 1 as next from seq where n = ?', [n]);
    assert.deepStrictEqual(rows.map(Object.values), [[n + 1]]);
  }
  await session.changeUser({ user: other, password, database });
  const [[row]] = await session.query("select substring_index(user(), '@', 1) as who");
  assert.strictEqual(row.who, other);
  await session.end();
  console.log('done');
}

main(process.argv.slice(2)).catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
