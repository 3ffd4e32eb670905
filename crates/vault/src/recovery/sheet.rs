//! The sheet to print: the recovery identity with what it is for and what to do with it.

use zeroize::Zeroizing;

/// The text of the recovery sheet. It is an identity file as it stands: everything but the identity is a comment.
/// `instance` names the installation, `date` is when the identity was made.
#[must_use]
pub fn sheet(identity: &str, recipient: &str, instance: &str, date: &str) -> Zeroizing<String> {
    let identity = identity.trim();
    // A name that brings its own line breaks would end the comment it stands in.
    let [instance, date] = [instance, date].map(|text| text.replace(|c: char| c.is_control(), " "));
    let before = format!(
        "# Keyward recovery sheet\n\
         #\n\
         # Installation:  {instance}\n\
         # Made on:       {date}\n\
         # Recipient:     {recipient}\n\
         #\n\
         # Whoever holds the line below can open every backup of this installation, and its vault.\n\
         # Print this sheet or keep the file offline, in two places, and then delete it from this machine.\n\
         #\n\
         # To restore access when the master key is lost:\n\
         #     keyward vault recover --identity THIS-FILE\n\
         # To restore a backup on a new machine:\n\
         #     keyward restore BACKUP-FILE --identity THIS-FILE\n\
         # Type the line exactly; upper and lower case do not matter, a wrong character is noticed.\n\
         #\n\n"
    );
    let mut text = Zeroizing::new(String::with_capacity(before.len() + identity.len() + 1));
    for part in [before.as_str(), identity, "\n"] {
        text.push_str(part);
    }
    text
}
