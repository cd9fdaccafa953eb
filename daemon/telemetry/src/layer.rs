//! The one layer under the tracing registry: decides what is kept, writes it down redacted, and gives it to the hub and
//! to the queue. Runs on the thread of the event, so nothing here blocks.

use aivonx_config::level::{self, LevelHandle};
use tracing::{
    Event, Metadata, Subscriber,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record as SpanRecord},
    subscriber::Interest,
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use aivonx_protocol::log::Level;

use super::{
    hub::Hub,
    queue::LogQueue,
    record::{Record, Text},
};

/// See the module.
pub(crate) struct LogLayer {
    pub(crate) level: LevelHandle,
    pub(crate) hub: Hub,
    pub(crate) queue: LogQueue,
}

/// Fields of a span, kept beside it.
struct SpanFields(Text);

impl<S> Layer<S> for LogLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn register_callsite(&self, meta: &'static Metadata<'static>) -> Interest {
        self.level.interest(meta)
    }

    fn enabled(&self, meta: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.level.enabled(meta)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level.most())
    }

    fn on_new_span(&self, attrs: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let mut fields = Text::default();
        attrs.record(&mut fields);
        span.extensions_mut().replace(SpanFields(fields));
    }

    fn on_record(&self, id: &Id, values: &SpanRecord<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<SpanFields>() {
            values.record(&mut fields.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let meta = event.metadata();
        let mut text = Text::default();
        for span in ctx.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(fields) = span.extensions().get::<SpanFields>() {
                text.take_over(&fields.0);
            }
        }
        event.record(&mut text);
        let level = protocol_level(*meta.level());
        let kept = self.hub.put(Record::new(level, level::shown(meta.target()), text));
        self.queue.send(kept);
    }
}

fn protocol_level(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::TRACE => Level::Trace,
    }
}
