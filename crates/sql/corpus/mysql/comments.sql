/*!40101 SET NAMES utf8 */; /*!80016 set @a = 1 */ /*M!100500 x */ -- c ' ;
select # "
1 /*+ SET_VAR(sql_mode = '') */ /* */ + 2 --1 `a``b` 'a\'b' "c\"d" @`x` @@global.y
