-- What airports.db holds, here and in sql-all.
CREATE TABLE airports (iata TEXT PRIMARY KEY, city TEXT, country TEXT, lat REAL, id INTEGER, opened DATE, extra JSON, logo BLOB);
INSERT INTO airports VALUES ('OSL', 'Oslo', 'NO', 60.1939, 9223372036854775807, '1998-10-08', '{"runways": [1, 2.50]}', x'00ff10');
INSERT INTO airports VALUES ('BGO', 'Bergen', 'NO', 60.29, 2, NULL, NULL, NULL);
INSERT INTO airports VALUES ('JFK', 'New York', 'US', 40.6, 3, '1948-07-01', '[]', x'');
