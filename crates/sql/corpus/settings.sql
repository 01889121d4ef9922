set session search_path to "$user", public, 'a'; SET LOCAL x = -1.5; reset all; set time zone interval '1' hour;
set role none; set session authorization default; set a.b to E'\''; set names; reset time zone
select set_config('a', f(b, '(,)'), true), pg_catalog."set_config"('search_path', $1, 'on'::bool)
