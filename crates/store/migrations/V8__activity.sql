-- What has happened lately, of all orders. Events are only ever appended, so their times stand in the
-- table in order, and a block range index is enough: a few pages however many there are.

create index order_events_by_time on order_events
using brin (at) with (pages_per_range = 16, autosummarize = on);
