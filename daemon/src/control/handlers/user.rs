//! Operations on users.

use aivonx_protocol::{
    Fault,
    operation::Serve,
    session::Session,
    user::{self, ResetCode, User},
};

use crate::control::{By, Services};

impl Serve<user::List> for Services {
    async fn serve(&self, by: By<user::List>, asked: user::List) -> Result<Vec<User>, Fault> {
        self.identity.users(by.actor(), asked.organization.as_deref(), asked.role).await
    }
}

impl Serve<user::Show> for Services {
    async fn serve(&self, by: By<user::Show>, asked: user::Show) -> Result<User, Fault> {
        self.identity.user(by.actor(), &asked.user).await
    }
}

impl Serve<user::Add> for Services {
    async fn serve(&self, by: By<user::Add>, asked: user::Add) -> Result<User, Fault> {
        self.identity.add_user(by.actor(), *asked.0).await
    }
}

impl Serve<user::Set> for Services {
    async fn serve(&self, by: By<user::Set>, asked: user::Set) -> Result<User, Fault> {
        let user::Set { user, revision, change } = asked;
        self.identity.set_user(by.actor(), &user, revision, *change).await
    }
}

impl Serve<user::SetEnabled> for Services {
    async fn serve(&self, by: By<user::SetEnabled>, asked: user::SetEnabled) -> Result<User, Fault> {
        let user::SetEnabled { user, revision, enabled } = asked;
        self.identity.set_user_enabled(by.actor(), &user, revision, enabled).await
    }
}

impl Serve<user::Remove> for Services {
    async fn serve(&self, by: By<user::Remove>, asked: user::Remove) -> Result<(), Fault> {
        self.identity.remove_user(by.actor(), &asked.user, asked.revision).await
    }
}

impl Serve<user::ResetPassword> for Services {
    async fn serve(
        &self,
        by: By<user::ResetPassword>,
        asked: user::ResetPassword,
    ) -> Result<ResetCode, Fault> {
        self.identity.reset_password(by.actor(), &asked.user).await
    }
}

impl Serve<user::ResetTotp> for Services {
    async fn serve(&self, by: By<user::ResetTotp>, asked: user::ResetTotp) -> Result<User, Fault> {
        self.identity.reset_totp(by.actor(), &asked.user).await
    }
}

impl Serve<user::Sessions> for Services {
    async fn serve(&self, by: By<user::Sessions>, asked: user::Sessions) -> Result<Vec<Session>, Fault> {
        self.identity.user_sessions(by.actor(), &asked.user).await
    }
}

impl Serve<user::Logout> for Services {
    async fn serve(&self, by: By<user::Logout>, asked: user::Logout) -> Result<u32, Fault> {
        self.identity.end_sessions(by.actor(), &asked.user, asked.session.as_deref()).await
    }
}
