//! What becomes of a connection whose request is dropped before its answer begins.

use std::cell::Cell;

use super::connection::Connection;

/// Who gets such a connection, in place of its being closed.
#[derive(Default)]
pub(crate) struct Heir(Cell<Option<Connection>>);

impl Heir {
    pub(super) fn gets(&self, connection: Connection) {
        self.0.set(Some(connection));
    }

    /// What it got. Dropping it closes the connection.
    pub(crate) fn take(&self) -> Option<impl Send + use<>> {
        self.0.take()
    }
}
