create table t (id int primary key, u int unique, name varchar(50), n int default 0);
create table k (a int not null, b int, unique key (a));
create table other (id int primary key, t_id int, v varchar(20));
insert into t values (1,10,'one',0),(2,20,'two',0),(3,30,'three',0);
insert into k values (1,1);
insert into other values (1,1,'x'),(2,2,'y');
