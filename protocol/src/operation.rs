//! What the control socket can be asked: each operation is declared once, with [`operations!`], in the file of its
//! noun. The request, its reply, its name, the permission it needs and what the audit log notes of it follow from the
//! declaration, and so do the [client's call](crate::Client::ask) and the daemon's dispatch, which does not compile
//! before there is a handler ([`Serve`]).
//!
//! To add an operation, append one to its noun (the position is its number on the wire), and a sample of it
//! to `samples.rs`:
//!
//! ```ignore
//! /// Gives a node another name.
//! "node.rename" Rename {
//!     /// Name or id.
//!     node: String,
//!     /// New name.
//!     name: String,
//! } -> Node as Node, needs FleetWrite, noted |op| Noted::new(Action::Update, "node", &op.node).with("name", &op.name);
//! ```
//!
//! `-> Node as Node` is the reply's type and the variant of [`Reply`] that carries it (boxed or not), `-> () as Done`
//! is an answer without content; `=> Event` instead is a stream. Without fields the braces go; one unnamed field is
//! `Add(Box<NewNode>)`. `noted` is for what changes something, and is left out where the handler writes to the audit
//! log itself.

use crate::{Fault, Permission, Reply, Request, noted::Noted};

/// One thing that can be asked.
pub trait Operation: Into<Request> + Send + 'static {
    /// `noun.verb`: its name in the log, the audit log and fixtures.
    const NAME: &'static str;
    /// What the caller must be permitted.
    const NEEDS: Permission;
    /// What it is answered with: its reply, or events, which come as `E`.
    type Answer<E>;

    /// What the audit log notes of it.
    fn noted(&self) -> Option<Noted>;

    /// The answer as it crosses the wire.
    fn give<E>(answer: Self::Answer<E>) -> Answer<E>;

    /// The answer out of a reply that crossed the wire.
    ///
    /// # Errors
    /// The reply, if it is not one to this.
    fn take<E>(reply: Reply) -> Result<Self::Answer<E>, Reply>;
}

/// An operation that is answered with a reply.
pub trait Call: Operation {}

/// An operation that is answered with events.
pub trait Follow: Operation {}

/// What is declared of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Declared {
    /// `noun.verb`.
    pub name: &'static str,
    /// What the caller must be permitted.
    pub needs: Permission,
    /// Variant of [`Reply`] that it is answered with, or `Events`.
    pub answer: &'static str,
}

/// What a request is answered with.
pub enum Answer<E> {
    /// Once.
    Reply(Result<Reply, Fault>),
    /// With events, as long as the caller takes them.
    Stream(E),
}

/// What carries out requests of those who may make them.
pub trait Server: Sync {
    /// Who makes a request, and the proof that they may.
    type Proof: Send;
    /// The same for one operation.
    type By<O>: Send;
    /// A stream of events.
    type Events;

    /// The proof for the very operation that was looked at.
    fn by<O>(proof: Self::Proof) -> Self::By<O>;
}

/// Carries out one operation.
pub trait Serve<O: Operation>: Server {
    /// Carries it out; `by` is who asks.
    fn serve(
        &self,
        by: Self::By<O>,
        operation: O,
    ) -> impl Future<Output = Result<O::Answer<Self::Events>, Fault>> + Send;
}

/// A reply, however its variant holds it.
pub(crate) trait Held<T> {
    fn take(self) -> T;
}

impl<T> Held<T> for T {
    fn take(self) -> T {
        self
    }
}

impl<T> Held<T> for Box<T> {
    fn take(self) -> T {
        *self
    }
}

/// Declares the operations of a noun; see [the module](self).
macro_rules! operations {
    (
        $(#[$about:meta])*
        Request::$noun:ident($requests:ident);
        $(
            $(#[$doc:meta])*
            $name:literal $op:ident $({ $($fields:tt)* })? $(($inner:ty))?
            $(-> $reply:ty as $variant:ident)? $(=> $event:ident)?, needs $need:ident
            $(, noted |$me:ident| $noted:expr)?;
        )*
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[expect(missing_docs, reason = "each variant is the operation of its name")]
        pub enum $requests { $($op($op),)* }

        impl $requests {
            /// What is declared of each operation, in the order of the wire.
            pub const ALL: &[$crate::operation::Declared] = &[$($crate::operation::Declared {
                name: $name,
                needs: $crate::Permission::$need,
                answer: concat!($(stringify!($variant))? $(stringify!($event), "s")?),
            },)*];

            pub(crate) fn name(&self) -> &'static str {
                match self { $(Self::$op(_) => $name,)* }
            }

            pub(crate) fn needs(&self) -> $crate::Permission {
                match self { $(Self::$op(_) => $crate::Permission::$need,)* }
            }

            pub(crate) fn noted(&self) -> Option<$crate::noted::Noted> {
                match self { $(Self::$op(operation) => $crate::operation::Operation::noted(operation),)* }
            }

            pub(crate) async fn serve<S: Serves>(
                self,
                server: &S,
                proof: S::Proof,
            ) -> $crate::operation::Answer<S::Events> {
                use $crate::operation::{Answer, Operation};
                match self { $(
                    Self::$op(operation) => match server.serve(S::by::<$op>(proof), operation).await {
                        Ok(answer) => $op::give(answer),
                        Err(fault) => Answer::Reply(Err(fault)),
                    },
                )* }
            }
        }

        /// A server with a handler for each operation of the noun.
        pub trait Serves: $crate::operation::Server $(+ $crate::operation::Serve<$op>)* {}
        impl<S: $crate::operation::Server $(+ $crate::operation::Serve<$op>)*> Serves for S {}

        $(
            operations! { @struct [$(#[$doc])*] $op $({ $($fields)* })? $(($inner))? }

            impl From<$op> for $crate::Request {
                fn from(operation: $op) -> Self {
                    Self::$noun($requests::$op(operation))
                }
            }

            impl $crate::operation::Operation for $op {
                const NAME: &'static str = $name;
                const NEEDS: $crate::Permission = $crate::Permission::$need;
                operations! { @answer $(-> $reply as $variant)? $(=> $event)? }

                fn noted(&self) -> Option<$crate::noted::Noted> {
                    operations! { @noted self $(|$me| $noted)? }
                }
            }

            operations! { @kind $op $(-> $reply as $variant)? $(=> $event)? }
        )*
    };

    (@struct [$($doc:tt)*] $op:ident) => {
        $($doc)*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $op;
    };
    (@struct [$($doc:tt)*] $op:ident { $($(#[$about:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $($doc)*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $op { $($(#[$about])* pub $field: $type,)* }
    };
    (@struct [$($doc:tt)*] $op:ident($inner:ty)) => {
        $($doc)*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $op(pub $inner);
    };

    (@noted $this:ident) => { None };
    (@noted $this:ident |$me:ident| $noted:expr) => {{
        let $me = $this;
        Some($noted)
    }};

    (@answer -> $reply:ty as $variant:ident) => {
        type Answer<E> = $reply;

        fn give<E>(answer: $reply) -> $crate::operation::Answer<E> {
            $crate::operation::Answer::Reply(Ok($crate::Reply::$variant(answer.into())))
        }

        fn take<E>(reply: $crate::Reply) -> Result<$reply, $crate::Reply> {
            match reply {
                $crate::Reply::$variant(held) => Ok($crate::operation::Held::take(held)),
                other => Err(other),
            }
        }
    };
    (@answer => Event) => {
        type Answer<E> = E;

        fn give<E>(events: E) -> $crate::operation::Answer<E> {
            $crate::operation::Answer::Stream(events)
        }

        fn take<E>(reply: $crate::Reply) -> Result<E, $crate::Reply> {
            Err(reply)
        }
    };

    (@kind $op:ident -> $reply:ty as $variant:ident) => {
        impl $crate::operation::Call for $op {}
    };
    (@kind $op:ident => Event) => {
        impl $crate::operation::Follow for $op {}
    };
}
pub(crate) use operations;

/// Makes [`Request`] of its nouns.
macro_rules! nouns {
    ($(#[$about:meta])* Request; $($(#[$doc:meta])* $noun:ident($module:ident::$requests:ident),)*) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum Request { $($(#[$doc])* $noun($crate::$module::$requests),)* }

        impl Request {
            /// What is declared of each operation, noun by noun.
            pub fn all() -> impl Iterator<Item = &'static Declared> {
                [$($crate::$module::$requests::ALL,)*].into_iter().flatten()
            }

            /// `noun.verb`: its name in the log, the audit log and fixtures.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$noun(request) => request.name(),)* }
            }

            /// What the caller must be permitted.
            #[must_use]
            pub fn needs(&self) -> $crate::Permission {
                match self { $(Self::$noun(request) => request.needs(),)* }
            }

            /// What the audit log notes of it; None if nothing, or if that is written where it is carried out.
            #[must_use]
            pub fn noted(&self) -> Option<$crate::noted::Noted> {
                match self { $(Self::$noun(request) => request.noted(),)* }
            }

            /// Has it carried out, by the handler of its operation.
            pub async fn serve<S: Serves>(self, server: &S, proof: S::Proof) -> Answer<S::Events> {
                match self { $(Self::$noun(request) => request.serve(server, proof).await,)* }
            }
        }

        /// A server with a handler for every operation.
        pub trait Serves: Server $(+ $crate::$module::Serves)* {}
        impl<S: Server $(+ $crate::$module::Serves)*> Serves for S {}
    };
}
pub(crate) use nouns;
