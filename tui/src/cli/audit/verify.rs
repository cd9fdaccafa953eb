//! `aivonx audit verify`

use aivonx_protocol::{
    Event,
    audit::{self, ANCHORS_MAX, AuditVerdict, Checkpoint},
    client::Client,
};

use super::{Context, VerifyArgs, offline};
use crate::{
    audit_verify::{anchors, sentences, walked},
    exit::{Exit, Failure},
    render::{Out, out::Passing},
};

pub(super) async fn run(context: &mut Context, args: VerifyArgs) -> Result<(), Failure> {
    if let (Some(file), Some(key)) = (&args.file, &args.public_key) {
        return offline::run(context, file, args.signature.as_deref(), key);
    }
    let anchors = args.anchor.as_deref().map(anchors).transpose()?.unwrap_or_default();
    let verdict = verify(context, &anchors).await?;
    context.out.show(&verdict, |out| tell(out, &verdict))?;
    if verdict.intact { Ok(()) } else { Err(Failure::Silent(Exit::Failed)) }
}

/// As many walks as the anchors need; the last one counts.
async fn verify(context: &Context, anchors: &[Checkpoint]) -> Result<AuditVerdict, Failure> {
    let client = context.client().await?;
    let (first, rest) = anchors.split_at(anchors.len().min(ANCHORS_MAX));
    let mut passing = Passing::new(!context.out.is_json());
    let mut verdict = walk(&client, first, &mut passing).await?;
    for part in rest.chunks(ANCHORS_MAX) {
        let mut next = walk(&client, part, &mut passing).await?;
        next.intact &= verdict.intact;
        next.anchors_agreed += verdict.anchors_agreed;
        next.anchors_past += verdict.anchors_past;
        next.anchors_wrong.splice(0..0, verdict.anchors_wrong);
        next.took_ms += verdict.took_ms;
        verdict = next;
    }
    Ok(verdict)
}

/// One walk along the chain, with how far it is.
async fn walk(
    client: &Client,
    anchors: &[Checkpoint],
    passing: &mut Passing,
) -> Result<AuditVerdict, Failure> {
    let mut steps = client.follow(audit::Walk { anchors: anchors.to_vec() }).await?;
    while let Some(step) = steps.next().await {
        match step? {
            Event::AuditWalked { seq, last } => passing.say(walked(seq, last)),
            Event::AuditVerdict(verdict) => return Ok(*verdict),
            _ => {}
        }
    }
    Err(Failure::Lost("the daemon ended the walk without a verdict".to_owned()))
}

fn tell(out: &mut Out, verdict: &AuditVerdict) -> Result<(), Failure> {
    for (tone, sentence) in sentences(verdict, &out.zone) {
        let line = out.paint(&sentence, tone);
        out.line(line)?;
    }
    Ok(())
}
