select 'a'
  'b', E'a' -- c
 'b\'c', 'd' 'e'; unlisten *