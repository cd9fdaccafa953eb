//! Operations on the scheduling strategy.

use aivonx_fleet::{NodeScope, RoutingRules};
use aivonx_gateway::explain::{Chat, explain};
use aivonx_protocol::{
    Fault, FaultKind,
    operation::Serve,
    strategy::{self, Explained, Learned, ModelStrategy, PROMPT_MAX, Strategy},
};

use crate::control::{By, Services};

impl Serve<strategy::Show> for Services {
    async fn serve(&self, _: By<strategy::Show>, _: strategy::Show) -> Result<Strategy, Fault> {
        Ok(self.fleet.strategy())
    }
}

impl Serve<strategy::Set> for Services {
    async fn serve(&self, by: By<strategy::Set>, asked: strategy::Set) -> Result<Strategy, Fault> {
        self.fleet.set_strategy(&by.reach(), asked.0).await.map_err(self.fault(&by))
    }
}

impl Serve<strategy::ShowModels> for Services {
    async fn serve(
        &self,
        by: By<strategy::ShowModels>,
        _: strategy::ShowModels,
    ) -> Result<Vec<ModelStrategy>, Fault> {
        Ok(self.fleet.model_strategies(&by.reach()))
    }
}

impl Serve<strategy::SetModel> for Services {
    async fn serve(
        &self,
        by: By<strategy::SetModel>,
        asked: strategy::SetModel,
    ) -> Result<Vec<ModelStrategy>, Fault> {
        let strategy::SetModel { model, strategy } = asked;
        self.fleet.set_model_strategy(&by.reach(), model, strategy).await.map_err(self.fault(&by))
    }
}

impl Serve<strategy::Explain> for Services {
    async fn serve(&self, by: By<strategy::Explain>, asked: strategy::Explain) -> Result<Explained, Fault> {
        let strategy::Explain { model, organization, prompt } = asked;
        let prompt = prompt.expose();
        if prompt.len() > PROMPT_MAX {
            let message = format!("the prompt has {} bytes, and the most is {PROMPT_MAX}", prompt.len());
            return Err(Fault::new(FaultKind::Invalid, message).field("prompt").hint("give its beginning"));
        }
        let organization = self.identity.organization_of(by.actor(), organization.as_deref()).await?;
        let hot = self.identity.hot().load();
        let organization = organization.as_ref().and_then(|record| hot.organization(&record.id));
        let chat = Chat {
            model: &model,
            prompt,
            organization: organization.map(|organization| &*organization.id),
            eligible: organization.map_or(&RoutingRules::ALL, |organization| &organization.eligible),
            overflow: self.config.get().overflow.after.as_secs_f64(),
        };
        let (rules, fleet) = (self.policies.hot().load(), self.fleet.hot());
        explain(&fleet.load(), rules.as_deref(), chat, &NodeScope::from(&by.reach()))
            .map_err(|why| Fault::new(FaultKind::NotFound, why.to_string()).field("model"))
    }
}

impl Serve<strategy::ShowLearned> for Services {
    async fn serve(
        &self,
        by: By<strategy::ShowLearned>,
        asked: strategy::ShowLearned,
    ) -> Result<Learned, Fault> {
        self.fleet.learned(&by.reach(), &asked.node).map_err(self.fault(&by))
    }
}
