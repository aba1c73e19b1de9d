-- Made-up rows of a ledger in PostgreSQL. Words in braces are put in by the program, which runs part after part.

-- part: -- custody
SET synchronous_commit = off;
SET statement_timeout = 0;
CREATE TEMP TABLE indexes AS SELECT indexdef, tablename FROM pg_indexes WHERE tablename IN ('entries', 'deliveries') AND indexname NOT LIKE '%\_pkey';
DO $$ DECLARE i text; BEGIN
	FOR i IN SELECT indexname FROM pg_indexes WHERE tablename IN ('entries', 'deliveries') AND indexname NOT LIKE '%\_pkey' LOOP EXECUTE 'DROP INDEX ' || i; END LOOP;
END $$;
ALTER TABLE entries DROP CONSTRAINT entries_pkey;
ALTER TABLE deliveries DROP CONSTRAINT deliveries_pkey;
CREATE FUNCTION pg_temp.made(OUT i bigint, OUT id text, OUT sent text, OUT journey text, OUT at bigint, OUT sender text, OUT type text, OUT state text)
RETURNS SETOF record LANGUAGE sql AS $$
SELECT 5 * j + k, md5('in' || 5 * j + k)::uuid::text, md5('out' || 5 * j + k)::uuid::text, md5('j' || j)::uuid::text, {begun} + j * {each} / 1000 + k * {later},
	(ARRAY['apotti', 'espoo', 'vantaa', 'terho'])[j % 4 + 1], (ARRAY['REF^I12', 'RRI^I12', 'SIU^S12', 'REF^I13', 'ORU^R01'])[k + 1],
	CASE WHEN (5 * j + k) % 1000 = 7 THEN 'parked' ELSE 'delivered' END
FROM generate_series(0::bigint, {journeys} - 1) j, generate_series(0, 4) k $$;
INSERT INTO entries (id, partner, format, control, type, version, application, facility, key, received, journey, origin, event, cause, state, shown, map,
	canonical, digest, fault, place_topic, place_partition, place_offset)
SELECT id, sender, 'hl7v2', 'M' || i, type, '2.5.1', 'APOTTI', 'HELSINKI', md5(journey), at, journey, '', 'referral-request', '', 'translated', state,
	'ref-i12@1.0.0', md5(id) || md5(sent), md5(sent) || md5(id), '', 'silta.in', i % 12, i FROM pg_temp.made();
INSERT INTO deliveries (id, message, journey, partner, route, generation, control, type, format, map, key, digest, state, rank, attempts, unknown, answer,
	fault, place_topic, place_partition, place_offset, received)
SELECT sent, id, journey, CASE WHEN i % 50 = 0 THEN 'sotehub' ELSE 'hus' END, sender || '>hus', 0, 'O' || i, 'referral-request', 'fhir', 'hus.ref-i12@1.0.0',
	md5(journey), md5(sent) || md5(id), state, CASE state WHEN 'parked' THEN 1 ELSE 7 END, 1, false, '200', '', 'silta.out.hus', i % 12, i, at FROM pg_temp.made();
INSERT INTO journeys (id, state, started, updated) SELECT md5('j' || j)::uuid::text, 'requested', {begun} + j * {each} / 1000, {begun} + j * {each} / 1000 + 4 * {later}
FROM generate_series(0::bigint, {journeys} - 1) j;
ALTER TABLE entries ADD PRIMARY KEY (id);
ALTER TABLE deliveries ADD PRIMARY KEY (id);
DO $$ DECLARE i text; BEGIN FOR i IN SELECT indexdef FROM indexes LOOP EXECUTE i; END LOOP; END $$;
DROP TABLE indexes;

-- part: -- history of a month
SET synchronous_commit = off;
SET statement_timeout = 0;
BEGIN;
DROP TABLE IF EXISTS bodies_{month}, steps_{month}, ids_{month};
CREATE TABLE bodies_{month} (LIKE bodies INCLUDING DEFAULTS INCLUDING STORAGE);
CREATE TABLE steps_{month} (LIKE steps INCLUDING DEFAULTS INCLUDING STORAGE);
CREATE TABLE ids_{month} (LIKE ids INCLUDING DEFAULTS INCLUDING STORAGE);
CREATE TEMP TABLE made ON COMMIT DROP AS SELECT 5 * j + k AS i, j, md5('in' || 5 * j + k)::uuid::text AS id, md5('out' || 5 * j + k)::uuid::text AS sent,
	md5('j' || j)::uuid::text AS journey, {begun} + j * {each} / 1000 + k * {later} AS at, (ARRAY['apotti', 'espoo', 'vantaa', 'terho'])[j % 4 + 1] AS sender,
	(ARRAY['REF^I12', 'RRI^I12', 'SIU^S12', 'REF^I13', 'ORU^R01'])[k + 1] AS type
FROM generate_series(0, 4) k, LATERAL generate_series(greatest(0, ({from} - {begun} - k * {later} - 1000000) * 1000 / {each}),
	least({journeys} - 1, ({to} - {begun} - k * {later} + 1000000) * 1000 / {each})) j
WHERE {begun} + j * {each} / 1000 + k * {later} >= {from} AND {begun} + j * {each} / 1000 + k * {later} < {to};
INSERT INTO steps_{month} (id, at, journey, message, control, type, step, sender, receiver, map, attempt, answer, digest, fault, findings, reason, other, month)
SELECT md5(step || id)::uuid::text, at + n * 20000, journey, CASE WHEN n < 3 THEN id ELSE sent END, 'M' || i, type, step, sender, 'hus',
	CASE WHEN n < 2 THEN 'ref-i12@1.0.0' ELSE '' END, n / 3, CASE n WHEN 4 THEN '200' ELSE '' END, CASE WHEN n < 2 THEN md5(sent) || md5(id) ELSE '' END,
	'', '', '', '', {month}
FROM made, (VALUES (0, 'received'), (1, 'translated'), (2, 'readdress'), (3, 'sending'), (4, 'delivered')) AS s (n, step);
INSERT INTO ids_{month} (value, partner, kind, owner, message, journey, month)
SELECT value, partner, kind, id, id, journey, {month} FROM made, LATERAL (VALUES ('M' || i, sender, 'control'), ('O' || i, 'hus', 'control'), (sent, 'hus', 'control'),
	(md5('ack' || i), 'hus', 'control')) names (value, partner, kind);
ALTER TABLE bodies ATTACH PARTITION bodies_{month} FOR VALUES IN ({month});
ALTER TABLE steps ATTACH PARTITION steps_{month} FOR VALUES IN ({month});
ALTER TABLE ids ATTACH PARTITION ids_{month} FOR VALUES IN ({month});
COMMIT;

-- part: -- names of journeys
SET synchronous_commit = off;
SET statement_timeout = 0;
BEGIN;
DROP TABLE ids_journeys;
CREATE TABLE ids_journeys (LIKE ids INCLUDING DEFAULTS INCLUDING STORAGE);
INSERT INTO ids_journeys (value, partner, kind, owner, message, journey, month)
SELECT value, partner, kind, journey, '', journey, 0 FROM (SELECT j, md5('j' || j)::uuid::text AS journey FROM generate_series(0::bigint, {journeys} - 1) j) made,
	LATERAL (VALUES ('L' || j, (ARRAY['apotti', 'espoo', 'vantaa', 'terho'])[j % 4 + 1], 'placer'), ('L' || j, 'hus', 'placer'),
		('Task/' || left(journey, 13), 'hus', 'resource'), ('ServiceRequest/' || left(journey, 13), 'hus', 'resource')) names (value, partner, kind);
ALTER TABLE ids ATTACH PARTITION ids_journeys FOR VALUES IN (0);
COMMIT;

-- part: -- end
SET statement_timeout = 0;
ANALYZE;
