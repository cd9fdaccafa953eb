//! The table of keys: one line of [`super::model`] declares a field, its doc, default and accepted values;
//! the parser, the printer, `config show` and the reload all work from it.

use super::kind::{Problem, Value};

/// One key of the file, as a field of `Root`.
pub(super) struct Key<Root: 'static> {
    /// Name in the file and of the field.
    pub(super) name: &'static str,
    /// Lines of its doc comment, each with its leading space.
    pub(super) doc: &'static [&'static str],
    /// When a changed value takes effect.
    pub(super) applies: Applies,
    /// What is accepted.
    pub(super) accepted: fn() -> String,
    /// Reads a value into the field; on problems the field stays.
    pub(super) read: fn(&mut Root, &Value<'_>) -> Result<(), Vec<Problem>>,
    /// The field in the file's notation.
    pub(super) show: fn(&Root) -> String,
    /// Copies the field from the first to the second.
    pub(super) copy: fn(&Root, &mut Root),
}

impl<Root: Default> Key<Root> {
    /// What to do about a value of which nothing better is known.
    pub(super) fn fallback(&self) -> String {
        let default = (self.show)(&Root::default());
        format!("write what is accepted, or remove the line for the default, {default}")
    }
}

/// When a changed value takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applies {
    /// At once when the file is read again.
    Reload,
    /// When the daemon starts.
    Restart,
}

/// Declares a struct together with its rows of the table.
///
/// `Name, DOC, KEYS of Root.path { /// doc  field: Type = default, kind, Reload|Restart; ... }`, where
/// `Root.path` is the way from the root to the struct. Fields behind `and` are no keys of the file's table.
macro_rules! table {
    (
        $(#[doc = $doc:literal])+
        $name:ident, $docs:ident, $keys:ident of $root:ident $(. $path:ident)? {
            $(
                $(#[doc = $key_doc:literal])+
                $key:ident: $type:ty = $default:expr, $kind:expr, $applies:ident;
            )+
        }
        $(and { $($(#[doc = $field_doc:literal])+ $field:ident: $field_type:ty = $field_default:expr;)+ })?
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $(
                $(#[doc = $key_doc])+
                #[doc = concat!(" Default: `", stringify!($default), "`.")]
                pub $key: $type,
            )+
            $($($(#[doc = $field_doc])+ pub $field: $field_type,)+)?
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)+ $($($field: $field_default,)+)? }
            }
        }

        pub(super) const $docs: &[&str] = &[$($doc),+];

        pub(super) const $keys: &[$crate::table::Key<$root>] = {
            fn of(root: &$root) -> &$name {
                &root$(.$path)?
            }
            fn of_mut(root: &mut $root) -> &mut $name {
                &mut (*root)$(.$path)?
            }
            &[$(
                $crate::table::Key {
                    name: stringify!($key),
                    doc: &[$($key_doc),+],
                    applies: $crate::table::Applies::$applies,
                    accepted: || $crate::kind::Kind::<$type>::accepted(&$kind),
                    read: |root, value| {
                        of_mut(root).$key = $crate::kind::Kind::<$type>::read(&$kind, value)?;
                        Ok(())
                    },
                    show: |root| $crate::kind::Kind::<$type>::show(&$kind, &of(root).$key),
                    copy: |from, to| of_mut(to).$key.clone_from(&of(from).$key),
                },
            )+]
        };
    };
}

pub(super) use table;
