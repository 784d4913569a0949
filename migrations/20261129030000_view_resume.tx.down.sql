DELETE FROM server_rights WHERE object = 'view_resume';

--bun:split

DROP FUNCTION view_resume;
