create table i (id int primary key, v varchar(20)) engine=innodb;
create table m (id int primary key, v varchar(20)) engine=myisam;
create table h (id int primary key, v varchar(20)) engine=memory;
create table log (id int primary key auto_increment, what varchar(40)) engine=myisam;
create table it (id int primary key, v int) engine=innodb;
create trigger it_ai after insert on it for each row insert into log (what) values (concat('insert ', new.id));
insert into i values (1,'a');
insert into m values (1,'a');
insert into h values (1,'a');
