DELETE FROM server_rights WHERE object IN ('view_claim', 'view_advanced');

--bun:split

DROP FUNCTION view_claim, view_advanced;

--bun:split

ALTER FUNCTION view_advance RESET jit;
