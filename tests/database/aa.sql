begin;
select plan(1);
select 1/0;
