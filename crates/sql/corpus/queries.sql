with x as (delete from t where a = $1 returning *) insert into u select x.*, case when b ->> 'k' is null then 1.5e-3 end
from x join pg_settings s on s.name = x.n where a[1:2] @> array[1] order by 1 for update skip locked
