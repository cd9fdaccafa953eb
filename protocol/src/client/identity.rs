//! One method per request about who may do what. Errors of all of them: see [`Client::call`].

use super::{Client, ClientError, calls::ask};
use crate::{
    Reply, Request, WireSecret,
    account::{AccountRequest, Identity, LoggedIn, Setup, TotpOffer},
    key::{Key, KeyChange, KeyRequest, NewKey, NewSecretKey},
    lockout::{Lockout, LockoutRequest},
    organization::{
        NewOrganization, NodeNetworks, Organization, OrganizationChange, OrganizationRemoved,
        OrganizationRequest,
    },
    session::{NewSession, Session},
    token::TokenRequest,
    user::{NewUser, ResetCode, Role, User, UserChange, UserRequest},
};

/// The caller's own account.
impl Client {
    /// Makes the first superadmin, or rescues one; the connection is logged in as it.
    pub async fn setup(&self, setup: Setup) -> Result<LoggedIn, ClientError> {
        let request = Request::Account(AccountRequest::Setup(Box::new(setup)));
        ask!(self, request, Reply::LoggedIn(session) => *session)
    }

    /// Begins a session; the connection is logged in.
    pub async fn login(
        &self,
        username: &str,
        password: WireSecret,
        otp: Option<WireSecret>,
    ) -> Result<LoggedIn, ClientError> {
        let request = AccountRequest::Login { username: username.to_owned(), password, otp };
        ask!(self, Request::Account(request), Reply::LoggedIn(session) => *session)
    }

    /// Goes on with a session, or uses a control token.
    pub async fn resume(&self, secret: WireSecret) -> Result<Identity, ClientError> {
        let request = Request::Account(AccountRequest::Resume { secret });
        ask!(self, request, Reply::Identity(identity) => *identity)
    }

    /// Ends the session.
    pub async fn logout(&self) -> Result<(), ClientError> {
        ask!(self, Request::Account(AccountRequest::Logout), Reply::Done => ())
    }

    /// Who the connection is.
    pub async fn whoami(&self) -> Result<Identity, ClientError> {
        let request = Request::Account(AccountRequest::Whoami);
        ask!(self, request, Reply::Identity(identity) => *identity)
    }

    /// Changes the caller's password.
    pub async fn password(&self, old: WireSecret, new: WireSecret) -> Result<(), ClientError> {
        ask!(self, Request::Account(AccountRequest::Password { old, new }), Reply::Done => ())
    }

    /// Offers a second factor.
    pub async fn totp_begin(&self, password: WireSecret) -> Result<TotpOffer, ClientError> {
        let request = Request::Account(AccountRequest::TotpBegin { password });
        ask!(self, request, Reply::TotpOffer(offer) => offer)
    }

    /// Turns the offered second factor on; gives the backup codes.
    pub async fn totp_confirm(&self, code: WireSecret) -> Result<Vec<WireSecret>, ClientError> {
        let request = Request::Account(AccountRequest::TotpConfirm { code });
        ask!(self, request, Reply::BackupCodes(codes) => codes)
    }

    /// Turns the second factor off.
    pub async fn totp_disable(&self, password: WireSecret, code: WireSecret) -> Result<(), ClientError> {
        ask!(self, Request::Account(AccountRequest::TotpDisable { password, code }), Reply::Done => ())
    }

    /// Makes new backup codes.
    pub async fn backup_codes(
        &self,
        password: WireSecret,
        code: WireSecret,
    ) -> Result<Vec<WireSecret>, ClientError> {
        let request = Request::Account(AccountRequest::BackupCodes { password, code });
        ask!(self, request, Reply::BackupCodes(codes) => codes)
    }

    /// Checks the caller's password again. A wrong one counts like one at a login.
    pub async fn verify(&self, password: WireSecret) -> Result<(), ClientError> {
        ask!(self, Request::Account(AccountRequest::Verify { password }), Reply::Done => ())
    }

    /// Sets a new password with the code that an administrator gave.
    pub async fn redeem(
        &self,
        username: &str,
        code: WireSecret,
        password: WireSecret,
    ) -> Result<(), ClientError> {
        let request = AccountRequest::Redeem { username: username.to_owned(), code, password };
        ask!(self, Request::Account(request), Reply::Done => ())
    }
}

/// Organizations. One is named by its slug or its id.
impl Client {
    /// All the caller may see, by slug.
    pub async fn organization_list(&self) -> Result<Vec<Organization>, ClientError> {
        let request = Request::Organization(OrganizationRequest::List);
        ask!(self, request, Reply::Organizations(all) => all)
    }

    /// One organization.
    pub async fn organization_show(&self, organization: &str) -> Result<Organization, ClientError> {
        let request = OrganizationRequest::Show { organization: organization.to_owned() };
        ask!(self, Request::Organization(request), Reply::Organization(one) => *one)
    }

    /// Adds an organization.
    pub async fn organization_add(&self, new: NewOrganization) -> Result<Organization, ClientError> {
        let request = Request::Organization(OrganizationRequest::Add(Box::new(new)));
        ask!(self, request, Reply::Organization(one) => *one)
    }

    /// Changes fields of an organization. With a `revision`, only if that is still its revision.
    pub async fn organization_set(
        &self,
        organization: &str,
        revision: Option<u64>,
        change: OrganizationChange,
    ) -> Result<Organization, ClientError> {
        let organization = organization.to_owned();
        let request = OrganizationRequest::Set { organization, revision, change: Box::new(change) };
        ask!(self, Request::Organization(request), Reply::Organization(one) => *one)
    }

    /// Removes an organization; with its users and keys only if told so.
    pub async fn organization_remove(
        &self,
        organization: &str,
        revision: Option<u64>,
        with_contents: bool,
    ) -> Result<OrganizationRemoved, ClientError> {
        let organization = organization.to_owned();
        let request = OrganizationRequest::Remove { organization, revision, with_contents };
        ask!(self, Request::Organization(request), Reply::OrganizationRemoved(removed) => removed)
    }

    /// Where the operators of one organization may place nodes, or of all the caller may see.
    pub async fn organization_networks(
        &self,
        organization: Option<&str>,
    ) -> Result<Vec<NodeNetworks>, ClientError> {
        let request = OrganizationRequest::Networks { organization: organization.map(str::to_owned) };
        ask!(self, Request::Organization(request), Reply::NodeNetworks(all) => all)
    }

    /// Says where the operators of an organization may place nodes.
    pub async fn organization_set_networks(
        &self,
        organization: &str,
        networks: Vec<String>,
    ) -> Result<Vec<NodeNetworks>, ClientError> {
        let request = OrganizationRequest::SetNetworks { organization: organization.to_owned(), networks };
        ask!(self, Request::Organization(request), Reply::NodeNetworks(all) => all)
    }
}

/// Users. One is named by its name or its id.
impl Client {
    /// The users the caller may see, by name.
    pub async fn user_list(
        &self,
        organization: Option<String>,
        role: Option<Role>,
    ) -> Result<Vec<User>, ClientError> {
        ask!(self, Request::User(UserRequest::List { organization, role }), Reply::Users(all) => all)
    }

    /// One user.
    pub async fn user_show(&self, user: &str) -> Result<User, ClientError> {
        let request = Request::User(UserRequest::Show { user: user.to_owned() });
        ask!(self, request, Reply::User(one) => *one)
    }

    /// Adds a user.
    pub async fn user_add(&self, new: NewUser) -> Result<User, ClientError> {
        ask!(self, Request::User(UserRequest::Add(Box::new(new))), Reply::User(one) => *one)
    }

    /// Changes fields of a user. With a `revision`, only if that is still its revision.
    pub async fn user_set(
        &self,
        user: &str,
        revision: Option<u64>,
        change: UserChange,
    ) -> Result<User, ClientError> {
        let request = UserRequest::Set { user: user.to_owned(), revision, change: Box::new(change) };
        ask!(self, Request::User(request), Reply::User(one) => *one)
    }

    /// Enables or disables a user.
    pub async fn user_set_enabled(
        &self,
        user: &str,
        revision: Option<u64>,
        enabled: bool,
    ) -> Result<User, ClientError> {
        let request = UserRequest::SetEnabled { user: user.to_owned(), revision, enabled };
        ask!(self, Request::User(request), Reply::User(one) => *one)
    }

    /// Removes a user with its keys and sessions.
    pub async fn user_remove(&self, user: &str, revision: Option<u64>) -> Result<(), ClientError> {
        let request = UserRequest::Remove { user: user.to_owned(), revision };
        ask!(self, Request::User(request), Reply::Done => ())
    }

    /// Takes a user's password away and gives a code for setting a new one.
    pub async fn user_reset_password(&self, user: &str) -> Result<ResetCode, ClientError> {
        let request = Request::User(UserRequest::ResetPassword { user: user.to_owned() });
        ask!(self, request, Reply::ResetCode(code) => code)
    }

    /// Takes a user's second factor away.
    pub async fn user_reset_totp(&self, user: &str) -> Result<User, ClientError> {
        let request = Request::User(UserRequest::ResetTotp { user: user.to_owned() });
        ask!(self, request, Reply::User(one) => *one)
    }

    /// A user's sessions and tokens.
    pub async fn user_sessions(&self, user: &str) -> Result<Vec<Session>, ClientError> {
        let request = Request::User(UserRequest::Sessions { user: user.to_owned() });
        ask!(self, request, Reply::Sessions(all) => all)
    }

    /// Ends a user's sessions and tokens, or one of them; tells how many.
    pub async fn user_logout(&self, user: &str, session: Option<String>) -> Result<u32, ClientError> {
        let request = Request::User(UserRequest::Logout { user: user.to_owned(), session });
        ask!(self, request, Reply::SessionsEnded(count) => count)
    }
}

/// API keys. One is named as [`KeyRequest`] says.
impl Client {
    /// The keys the caller may see; with `all`, revoked and expired ones too.
    pub async fn key_list(
        &self,
        organization: Option<String>,
        user: Option<String>,
        all: bool,
    ) -> Result<Vec<Key>, ClientError> {
        ask!(self, Request::Key(KeyRequest::List { organization, user, all }), Reply::Keys(keys) => keys)
    }

    /// One key.
    pub async fn key_show(&self, organization: Option<String>, key: &str) -> Result<Key, ClientError> {
        let request = KeyRequest::Show { organization, key: key.to_owned() };
        ask!(self, Request::Key(request), Reply::Key(key) => *key)
    }

    /// Makes a key; its secret is told this once.
    pub async fn key_create(&self, new: NewKey) -> Result<NewSecretKey, ClientError> {
        ask!(self, Request::Key(KeyRequest::Create(Box::new(new))), Reply::NewKey(key) => *key)
    }

    /// Changes fields of a key. With a `revision`, only if that is still its revision.
    pub async fn key_set(
        &self,
        organization: Option<String>,
        key: &str,
        revision: Option<u64>,
        change: KeyChange,
    ) -> Result<Key, ClientError> {
        let request =
            KeyRequest::Set { organization, key: key.to_owned(), revision, change: Box::new(change) };
        ask!(self, Request::Key(request), Reply::Key(key) => *key)
    }

    /// Gives a key a new secret; the old one works for `grace_ms` more milliseconds.
    pub async fn key_rotate(
        &self,
        organization: Option<String>,
        key: &str,
        grace_ms: u64,
    ) -> Result<NewSecretKey, ClientError> {
        let request = KeyRequest::Rotate { organization, key: key.to_owned(), grace_ms };
        ask!(self, Request::Key(request), Reply::NewKey(key) => *key)
    }

    /// Revokes a key; its running requests end.
    pub async fn key_revoke(&self, organization: Option<String>, key: &str) -> Result<Key, ClientError> {
        let request = KeyRequest::Revoke { organization, key: key.to_owned() };
        ask!(self, Request::Key(request), Reply::Key(key) => *key)
    }
}

/// The caller's control tokens.
impl Client {
    /// Makes a token; its secret is told this once.
    pub async fn token_create(
        &self,
        name: &str,
        role: Option<Role>,
        lasts_ms: u64,
    ) -> Result<NewSession, ClientError> {
        let request = TokenRequest::Create { name: name.to_owned(), role, lasts_ms };
        ask!(self, Request::Token(request), Reply::NewSession(token) => *token)
    }

    /// The caller's tokens.
    pub async fn token_list(&self) -> Result<Vec<Session>, ClientError> {
        ask!(self, Request::Token(TokenRequest::List), Reply::Sessions(all) => all)
    }

    /// Ends a token.
    pub async fn token_revoke(&self, token: &str) -> Result<(), ClientError> {
        let request = Request::Token(TokenRequest::Revoke { token: token.to_owned() });
        ask!(self, request, Reply::Done => ())
    }
}

/// Failed logins.
impl Client {
    /// Locked names and addresses; with `all`, those not locked (yet) too.
    pub async fn lockout_list(&self, all: bool) -> Result<Vec<Lockout>, ClientError> {
        ask!(self, Request::Lockout(LockoutRequest::List { all }), Reply::Lockouts(all) => all)
    }

    /// Forgets failures of a name, an address, or both; tells how many.
    pub async fn lockout_clear(
        &self,
        user: Option<String>,
        address: Option<String>,
    ) -> Result<u32, ClientError> {
        let request = Request::Lockout(LockoutRequest::Clear { user, address });
        ask!(self, request, Reply::LockoutsCleared(count) => count)
    }
}
