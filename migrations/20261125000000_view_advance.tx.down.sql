DELETE FROM server_rights WHERE object = 'view_advance';

--bun:split

DROP FUNCTION view_advance;
