//! After the story: whoever watches plays the agent, and the customer calls again when asked to.
//!
//! Ann's phone stays where it is and picks up by itself; a phone that registers in its place is
//! rung instead.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::app::App;
use super::caller::Caller;
use super::centre::Papers;
use super::phone::Phone;
use super::story::{APP, CALLER, NATIONAL, NUMBER, PHONE};
use super::timeline::Timeline;
use crate::base::Key;
use crate::io::secret;

/// Rings so long before it is picked up: time to look at the screen.
const RINGING: Duration = Duration::from_secs(3);
/// From the call on, the customer stays no longer.
const PATIENCE: Duration = Duration::from_secs(90);

/// Never ends by itself.
pub async fn play(papers: &Papers, timeline: &Timeline, phone: Phone) -> anyhow::Result<()> {
    let (wish, mut wishes) = mpsc::channel(1);
    // Reading a terminal cannot be given up: a thread of its own, that nobody waits for.
    std::thread::spawn(move || {
        let lines = std::io::stdin().lines();
        lines.map_while(Result::ok).try_for_each(|_| wish.blocking_send(()))
    });
    let calls = async {
        while wishes.recv().await.is_some() {
            if let Err(error) = call(papers, timeline).await {
                timeline.tell(CALLER, format_args!("gives up: {error:#}"));
            }
        }
        std::future::pending::<()>().await;
    };
    let ((), outcome) = tokio::join!(calls, attend(timeline, phone));
    outcome
}

/// The same errand fails again, and its owner calls.
async fn call(papers: &Papers, timeline: &Timeline) -> anyhow::Result<()> {
    let app = App::new(papers)?;
    let journey = format!("payment-{}", secret::hex(&secret::random::<4>()?));
    app.post_steps(&journey, NUMBER).await?;
    timeline.tell(APP, "posts the steps of a payment that failed twice");
    let mut caller = Caller::call(NATIONAL, &papers.number, papers.sip).await?;
    timeline.tell(CALLER, format_args!("calls {} and presses 1", papers.number));
    caller.until_greeted().await?;
    if let Ok(one) = Key::try_from('1') {
        caller.press(one);
    }
    match timeout(PATIENCE, caller.until_hung_up()).await {
        Ok(ended) => {
            ended?;
            timeline.tell(CALLER, "has been hung up on");
        }
        Err(_) => {
            caller.hang_up().await?;
            timeline.tell(CALLER, "hangs up");
        }
    }
    Ok(())
}

/// Picks up whatever comes.
async fn attend(timeline: &Timeline, mut phone: Phone) -> anyhow::Result<()> {
    loop {
        phone.until_ringing().await?;
        timeline.tell(PHONE, "rings");
        if let Ok(cancelled) = timeout(RINGING, phone.until_cancelled()).await {
            cancelled?;
            timeline.tell(PHONE, "rings no more");
            continue;
        }
        let talk = async {
            phone.pick_up().await?;
            timeline.tell(PHONE, "is picked up");
            phone.until_hung_up().await
        };
        match talk.await {
            Ok(()) => timeline.tell(PHONE, "BYE"),
            Err(error) => timeline.tell(PHONE, format_args!("{error:#}")),
        }
    }
}
