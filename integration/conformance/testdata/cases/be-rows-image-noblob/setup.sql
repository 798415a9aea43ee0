create table t (id int primary key, name varchar(50) not null, doc text, raw blob, j json);
insert into t values (1,'one','document',x'0102','{"a": 1}'),(2,'two',null,null,null);
