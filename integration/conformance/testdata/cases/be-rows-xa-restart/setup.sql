create table t (id int primary key, name varchar(50) not null, note varchar(100) default 'none');
insert into t values (1,'one',null);
