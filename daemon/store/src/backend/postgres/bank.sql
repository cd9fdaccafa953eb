-- Budgets that several gateways share, counted by this server's clock. Each gateway holds a lease on a part of a budget:
-- what it has spent of it and what it may still spend without asking. used + leased is never more than the cap, whatever
-- fails when; only what a request turned out to need beyond its estimate goes on top.
CREATE TABLE IF NOT EXISTS aivonx.bank (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Raised when a gateway finds that these tables went back to an earlier state.
    epoch bigint NOT NULL DEFAULT 0,
    -- Until then nothing is granted: each gateway first says again what it holds.
    held_until timestamptz NOT NULL DEFAULT 'epoch'
);
INSERT INTO aivonx.bank DEFAULT VALUES ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS aivonx.bank_member (
    member text COLLATE "C" PRIMARY KEY,
    -- Rises with everything that the gateway asks: what arrives late is not carried out.
    turn bigint NOT NULL,
    seen timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS aivonx.budget (
    -- 0 an organization, 1 a user, 2 a key.
    kind smallint NOT NULL,
    subject text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    -- Number of the minute, hour, day or month; 0 for a limit without one.
    period_index bigint NOT NULL,
    -- Booked as spent: of leases that are over.
    used bigint NOT NULL DEFAULT 0 CHECK (used >= 0),
    -- The amounts of all live leases.
    leased bigint NOT NULL DEFAULT 0 CHECK (leased >= 0),
    ends timestamptz NOT NULL,
    -- Who was the first not to be given all that requests wait for; others give back what they do not need, or what is
    -- not enough for them.
    wanted_by text,
    wanted_until timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (kind, subject, name, period_index)
);
CREATE TABLE IF NOT EXISTS aivonx.lease (
    kind smallint NOT NULL,
    subject text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    period_index bigint NOT NULL,
    member text COLLATE "C" NOT NULL,
    -- Chosen by the gateway: the same again is the same lease.
    id bigint NOT NULL,
    -- What it binds of the budget, what is spent among it.
    amount bigint NOT NULL,
    spent bigint NOT NULL,
    -- One that expired is in the budget's used, as if all of it were spent, until its gateway says what was.
    live boolean NOT NULL DEFAULT true,
    expires timestamptz NOT NULL,
    PRIMARY KEY (kind, subject, name, period_index, member)
);
CREATE INDEX IF NOT EXISTS lease_member ON aivonx.lease (member);
CREATE INDEX IF NOT EXISTS lease_expires ON aivonx.lease (expires) WHERE live;
CREATE INDEX IF NOT EXISTS budget_ends ON aivonx.budget (ends);

-- One turn of a gateway: says what it holds (p_holds) and has spent of each budget, and asks for what requests wait for
-- (p_needs) and what it would like beside that (p_mores). All numbers are absolute, so it can be said again. The row 0
-- says the epoch, the milliseconds for which nothing is granted, and the turn; rows from 1 on answer in order; rows -1
-- name budgets of which the gateway holds something that others wait for.
CREATE OR REPLACE FUNCTION aivonx.bank_turn(
    p_member text, p_turn bigint, p_answered bigint, p_expires_ms bigint, p_offset_ms bigint,
    p_kinds smallint[], p_subjects text[], p_names text[], p_periods smallint[], p_caps bigint[], p_ids bigint[],
    p_windows bigint[], p_holds bigint[], p_spents bigint[], p_needs bigint[], p_mores bigint[]
) RETURNS TABLE (
    at bigint, kind smallint, subject text, name text, window_index bigint, left_ms bigint, amount bigint,
    others_held bigint, others_spent bigint, corrected bigint
) LANGUAGE plpgsql AS $bank$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
    v_day timestamp := (v_now AT TIME ZONE 'UTC') - p_offset_ms * interval '1 millisecond';
    v_expires interval := p_expires_ms * interval '1 millisecond';
    v_turn bigint;
    v_bank aivonx.bank;
    v_budget aivonx.budget;
    v_lease aivonx.lease;
    r record;
    v_index bigint;
    v_ends timestamptz;
    v_used bigint;
    v_leased bigint;
    v_held bigint;
    v_spent bigint;
    v_free bigint;
    v_amount bigint;
    v_corrected bigint;
    v_is_wanted boolean;
BEGIN
    SELECT m.turn INTO v_turn FROM aivonx.bank_member m WHERE m.member = p_member;
    IF cardinality(p_kinds) > 0 OR v_turn IS NULL OR v_turn < p_answered THEN
        INSERT INTO aivonx.bank_member VALUES (p_member, 0, v_now) ON CONFLICT DO NOTHING;
        SELECT m.turn INTO v_turn FROM aivonx.bank_member m WHERE m.member = p_member FOR UPDATE;
        IF p_turn <= v_turn THEN
            -- Older than what was carried out already, or the first of a gateway that was started anew.
            RETURN QUERY SELECT 0::bigint, 0::smallint, ''::text, ''::text, -1::bigint, 0::bigint, v_turn, 0::bigint, 0::bigint, 0::bigint;
            RETURN;
        END IF;
        IF v_turn < p_answered THEN
            -- By a random step, so that no number comes twice when an earlier state is put back again.
            UPDATE aivonx.bank SET epoch = epoch + 1 + floor(random() * 1000000)::bigint, held_until = GREATEST(held_until, v_now + v_expires);
        END IF;
        UPDATE aivonx.bank_member m SET turn = p_turn, seen = v_now WHERE m.member = p_member;
        v_turn := p_turn;
    ELSE
        -- One that only listens is not forgotten.
        UPDATE aivonx.bank_member m SET seen = v_now WHERE m.member = p_member AND m.seen < v_now - interval '1 day';
    END IF;
    SELECT * INTO STRICT v_bank FROM aivonx.bank;
    RETURN QUERY SELECT 0::bigint, 0::smallint, ''::text, ''::text, v_bank.epoch,
        GREATEST(0, ceil(extract(epoch FROM v_bank.held_until - v_now) * 1000))::bigint, v_turn, 0::bigint, 0::bigint, 0::bigint
        WHERE v_bank.held_until > v_now
        UNION ALL SELECT 0::bigint, 0::smallint, ''::text, ''::text, v_bank.epoch, 0::bigint, v_turn, 0::bigint, 0::bigint, 0::bigint
        WHERE v_bank.held_until <= v_now;

    -- In one order, so that two turns do not wait for each other.
    FOR r IN
        SELECT t.* FROM unnest(p_kinds, p_subjects, p_names, p_periods, p_caps, p_ids, p_windows, p_holds, p_spents, p_needs, p_mores)
            WITH ORDINALITY AS t(kind, subject, name, period, cap, id, known, hold, spent, need, more, place)
        ORDER BY t.kind, t.subject COLLATE "C", t.name COLLATE "C"
    LOOP
        CASE r.period
            WHEN 0 THEN v_index := 0; v_ends := 'infinity';
            WHEN 1 THEN
                v_index := floor(extract(epoch FROM v_now) / 60);
                v_ends := to_timestamp((v_index + 1) * 60);
            WHEN 2 THEN
                v_index := floor(extract(epoch FROM v_now) / 3600);
                v_ends := to_timestamp((v_index + 1) * 3600);
            WHEN 3 THEN
                v_index := floor(extract(epoch FROM v_day) / 86400);
                v_ends := to_timestamp((v_index + 1) * 86400 + p_offset_ms / 1000.0);
            ELSE
                v_index := extract(year FROM v_day) * 12 + extract(month FROM v_day) - 1;
                v_ends := (date_trunc('month', v_day) + interval '1 month' + p_offset_ms * interval '1 millisecond') AT TIME ZONE 'UTC';
        END CASE;
        INSERT INTO aivonx.budget (kind, subject, name, period_index, ends)
            VALUES (r.kind, r.subject, r.name, v_index, v_ends) ON CONFLICT DO NOTHING;
        -- From here on nobody else changes this budget or its leases.
        SELECT * INTO STRICT v_budget FROM aivonx.budget b
            WHERE b.kind = r.kind AND b.subject = r.subject AND b.name = r.name AND b.period_index = v_index FOR UPDATE;
        SELECT * INTO v_lease FROM aivonx.lease l
            WHERE l.kind = r.kind AND l.subject = r.subject AND l.name = r.name AND l.period_index = v_index AND l.member = p_member;
        v_used := v_budget.used;
        v_leased := v_budget.leased;
        v_corrected := 0;
        -- What the gateway holds of a period that is over says nothing of this one.
        v_held := CASE WHEN r.known = v_index THEN GREATEST(r.hold, r.spent) ELSE 0 END;
        v_spent := CASE WHEN r.known = v_index THEN r.spent ELSE 0 END;
        -- Places of a lease that expired are free for others: only those in use are held further.
        IF r.period = 0 AND v_bank.held_until <= v_now AND (v_lease.id = r.id AND v_lease.live) IS NOT TRUE THEN
            v_held := v_spent;
        END IF;
        IF v_lease.id IS NOT NULL THEN
            IF v_lease.live THEN v_leased := v_leased - v_lease.amount; END IF;
            IF v_lease.id = r.id THEN
                IF NOT v_lease.live THEN
                    v_used := GREATEST(0, v_used - v_lease.amount);
                    v_corrected := CASE WHEN r.period = 0 THEN 0 ELSE GREATEST(0, v_lease.amount - v_spent) END;
                END IF;
            ELSIF r.period > 0 THEN
                -- A lease that its gateway does not know any more: all of it may be spent. Places ended with the process.
                IF v_lease.live THEN v_used := LEAST(v_used + v_lease.amount, 1000000000000000000); END IF;
                v_corrected := v_lease.spent - v_lease.amount;
            END IF;
        END IF;
        v_free := GREATEST(0, r.cap - v_used - v_leased - v_spent);
        v_amount := v_held;
        v_is_wanted := v_budget.wanted_until > v_now AND v_budget.wanted_by <> p_member;
        -- What another gateway asked for first is not handed out in parts that are too small for either.
        IF v_bank.held_until <= v_now AND NOT (v_is_wanted AND r.need > v_free) THEN
            -- What nobody waits for takes no more than a quarter of what is free.
            v_amount := GREATEST(v_held, v_spent + LEAST(v_free, GREATEST(r.need, LEAST(r.need + r.more, v_free / 4))));
        END IF;
        INSERT INTO aivonx.lease VALUES
            (r.kind, r.subject, r.name, v_index, p_member, r.id, v_amount, v_spent, true, v_now + v_expires)
            ON CONFLICT (kind, subject, name, period_index, member) DO UPDATE
            SET id = excluded.id, amount = excluded.amount, spent = excluded.spent, live = true, expires = excluded.expires;
        UPDATE aivonx.budget b SET used = v_used, leased = v_leased + v_amount,
            wanted_by = CASE WHEN v_is_wanted THEN b.wanted_by ELSE p_member END,
            wanted_until = CASE
                WHEN v_is_wanted THEN b.wanted_until
                WHEN v_amount >= v_spent + r.need THEN '-infinity'
                -- Not prolonged, so that others have their turn.
                WHEN b.wanted_until > v_now THEN b.wanted_until
                ELSE v_now + interval '2 seconds' END
            WHERE b.kind = r.kind AND b.subject = r.subject AND b.name = r.name AND b.period_index = v_index;
        RETURN QUERY SELECT r.place, r.kind, r.subject, r.name, v_index,
            CASE WHEN r.period = 0 THEN -1 ELSE GREATEST(0, floor(extract(epoch FROM v_ends - v_now) * 1000)) END::bigint,
            v_amount, v_used + v_leased, v_used + COALESCE((
                SELECT sum(l.spent) FROM aivonx.lease l
                WHERE l.kind = r.kind AND l.subject = r.subject AND l.name = r.name AND l.period_index = v_index
                  AND l.live AND l.member <> p_member), 0)::bigint, v_corrected;
    END LOOP;

    RETURN QUERY SELECT -1::bigint, b.kind, b.subject, b.name, b.period_index, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint
        FROM aivonx.lease l JOIN aivonx.budget b USING (kind, subject, name, period_index)
        WHERE l.member = p_member AND l.live AND l.amount > l.spent AND b.wanted_until > v_now AND b.wanted_by <> p_member;
END
$bank$;

-- Books the leases that were not renewed as spent, and frees places. Returns the leases.
CREATE OR REPLACE FUNCTION aivonx.bank_expire() RETURNS TABLE (
    kind smallint, subject text, name text, member text, amount bigint, spent bigint
) LANGUAGE plpgsql AS $bank$
#variable_conflict use_column
DECLARE
    r record;
    v_lease aivonx.lease;
BEGIN
    FOR r IN
        SELECT l.* FROM aivonx.lease l WHERE l.live AND l.expires < clock_timestamp()
        ORDER BY l.kind, l.subject, l.name, l.period_index, l.member LIMIT 1000
    LOOP
        PERFORM 1 FROM aivonx.budget b WHERE b.kind = r.kind AND b.subject = r.subject AND b.name = r.name
            AND b.period_index = r.period_index FOR UPDATE;
        SELECT * INTO v_lease FROM aivonx.lease l WHERE l.kind = r.kind AND l.subject = r.subject AND l.name = r.name
            AND l.period_index = r.period_index AND l.member = r.member AND l.live AND l.expires < clock_timestamp();
        CONTINUE WHEN v_lease.id IS NULL;
        UPDATE aivonx.budget b SET leased = leased - v_lease.amount,
            used = CASE WHEN b.ends = 'infinity' THEN used ELSE LEAST(used + v_lease.amount, 1000000000000000000) END
            WHERE b.kind = r.kind AND b.subject = r.subject AND b.name = r.name AND b.period_index = r.period_index;
        UPDATE aivonx.lease l SET live = false, amount = CASE WHEN l.period_index = 0 THEN 0 ELSE l.amount END
            WHERE l.kind = r.kind AND l.subject = r.subject AND l.name = r.name AND l.period_index = r.period_index
              AND l.member = r.member;
        IF v_lease.amount > v_lease.spent THEN
            RETURN QUERY SELECT r.kind, r.subject, r.name, r.member, v_lease.amount, v_lease.spent;
        END IF;
    END LOOP;
END
$bank$;

-- Forgets periods that are over, at most 5000 at a time, and gateways that are gone.
CREATE OR REPLACE FUNCTION aivonx.bank_forget() RETURNS void LANGUAGE plpgsql AS $bank$
BEGIN
    -- By a margin: a clock of another server may be behind. Numbers of minutes and hours are above 100000, those of days
    -- and months below.
    WITH past AS (
        SELECT b.kind, b.subject, b.name, b.period_index FROM aivonx.budget b
        WHERE b.ends < clock_timestamp() - interval '2 hours'
          AND (b.period_index > 100000 OR b.ends < clock_timestamp() - interval '1 day')
        LIMIT 5000 FOR UPDATE SKIP LOCKED
    ), leases AS (
        DELETE FROM aivonx.lease l USING past p
        WHERE l.kind = p.kind AND l.subject = p.subject AND l.name = p.name AND l.period_index = p.period_index
    )
    DELETE FROM aivonx.budget b USING past p
    WHERE b.kind = p.kind AND b.subject = p.subject AND b.name = p.name AND b.period_index = p.period_index;
    DELETE FROM aivonx.bank_member m WHERE m.seen < clock_timestamp() - interval '40 days'
        AND NOT EXISTS (SELECT FROM aivonx.lease l WHERE l.member = m.member);
END
$bank$;
REVOKE ALL ON FUNCTION aivonx.bank_turn, aivonx.bank_expire, aivonx.bank_forget FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON aivonx.bank_member, aivonx.budget, aivonx.lease TO {role};
GRANT SELECT, UPDATE ON aivonx.bank TO {role};
GRANT EXECUTE ON FUNCTION aivonx.bank_turn, aivonx.bank_expire, aivonx.bank_forget TO {role};
