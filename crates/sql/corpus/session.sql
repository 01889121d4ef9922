create or replace local temp view v as select set_config('a', 'b', false), "pg_advisory_lock"(1), nextval('s') into temp t;
declare c cursor with hold for select * from t for no key update; prepare transaction 'x'; deallocate prepare all; discard all
