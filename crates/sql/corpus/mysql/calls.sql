select sql_calc_found_rows connection_id(), found_rows( ), row_count() as x, (select `row_count`()) from t union select 1; show count(*) warnings limit 1, 2
