//! Whether the gateway is set up safely.

use crate::{
    audit::{Action, Noted},
    operation::operations,
    secrets::Check,
};

operations! {
    /// Requests about how safely the gateway is set up.
    Request::Check(CheckRequest);

    /// Looks at everything that an attacker would look for.
    "check.run" Run -> Vec<Check> as Checks, needs SecretsRead;

    /// Makes two organizations, tries whether anyone of the one reaches what is the other's, and removes them again.
    "check.isolation" Isolation -> Vec<Check> as Checks, needs OrganizationManage,
        noted |_op| Noted::new(Action::Read, "check", "isolation");
}
