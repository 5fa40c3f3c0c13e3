-- Roles for a Counterfoil that cannot change its own schema. Run this once, as the role that
-- owns the database and the schema, and that migrates. Create the login roles yourself and
-- grant them one of these roles:
--
--   CREATE ROLE node LOGIN PASSWORD '…' IN ROLE counterfoil_node;
--
-- counterfoil_node has the rights that the server needs. It may not create, alter or truncate.
-- counterfoil_read has the right to read the views, for people. The table records has sealed
-- keys, and the secrets that refresh tokens are derived from: grant SELECT on it to no other
-- role.
CREATE ROLE counterfoil_node NOLOGIN;
CREATE ROLE counterfoil_read NOLOGIN;

REVOKE ALL ON SCHEMA counterfoil FROM PUBLIC;
GRANT USAGE ON SCHEMA counterfoil TO counterfoil_node, counterfoil_read;
GRANT SELECT, INSERT, UPDATE, DELETE ON counterfoil.records TO counterfoil_node;
GRANT SELECT, INSERT, DELETE ON counterfoil.texts TO counterfoil_node;
GRANT SELECT, INSERT, DELETE ON counterfoil.log TO counterfoil_node;
GRANT SELECT, UPDATE ON counterfoil.head TO counterfoil_node;
GRANT SELECT ON counterfoil.goose_db_version TO counterfoil_node;
GRANT SELECT ON counterfoil.sessions, counterfoil.users TO counterfoil_read;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA counterfoil FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA counterfoil TO counterfoil_node;

-- The same rights on tables and functions that later migrations add.
ALTER DEFAULT PRIVILEGES IN SCHEMA counterfoil GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO counterfoil_node;
ALTER DEFAULT PRIVILEGES IN SCHEMA counterfoil GRANT EXECUTE ON FUNCTIONS TO counterfoil_node;
