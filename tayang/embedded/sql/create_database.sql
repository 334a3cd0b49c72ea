-- Purpose: the application's database, with the same order and case rules on every machine.
-- Parameters: none. Not inside a transaction.
-- Locks: template0, SHARE.
CREATE DATABASE tayang
    TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8';
