//! What keys look like: written down apart from the rules, so that a mistake there shows.

use crate::Dice;
use keyward_catalogue::sample;
use keyward_domain::digest;

pub(crate) struct Format {
    pub(crate) provider: &'static str,
    pub(crate) title: &'static str,
    pub(crate) variable: &'static str,
    pub(crate) host: &'static str,
    kind: Kind,
}

enum Kind {
    /// A pattern.
    Shape(&'static str),
    /// A prefix, 30 characters and a checksum of 6.
    Checked(&'static str),
    /// The long and the short key of AWS Bedrock.
    BedrockLong,
    BedrockShort,
}

impl Format {
    pub(crate) fn key(&self, dice: &mut Dice) -> String {
        let text = |pattern: &str, dice: &mut Dice| sample::text(pattern, dice.roll()).unwrap_or_default();
        match self.kind {
            Kind::Shape(pattern) => text(pattern, dice),
            Kind::Checked(prefix) => {
                let body = text("[A-Za-z0-9]{30}", dice);
                let mut crc = digest::crc32(body.as_bytes());
                let alphabet = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
                let mut check = [b'0'; 6];
                for slot in check.iter_mut().rev() {
                    *slot = alphabet[(crc % 62) as usize];
                    crc /= 62;
                }
                format!("{prefix}{body}{}", String::from_utf8_lossy(&check))
            }
            Kind::BedrockLong => {
                let plain = format!(
                    "BedrockAPIKey-{}-at-{}:{}",
                    text("[a-z0-9]{4}", dice),
                    text("[1-9][0-9]{11}", dice),
                    text("[A-Za-z0-9+/]{60}", dice)
                );
                format!("ABSK{}", base64(plain.as_bytes()))
            }
            Kind::BedrockShort => {
                let plain = format!(
                    "bedrock.amazonaws.com/?Action=CallWithBearerToken&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=ASIA{}%2F20261121%2Fus-east-1%2Fbedrock%2Faws4_request&X-Amz-Date=20261121T101500Z&X-Amz-Expires=43200&X-Amz-Signature={}&Version=1",
                    text("[A-Z2-7]{16}", dice),
                    text("[a-f0-9]{64}", dice)
                );
                format!("bedrock-api-key-{}", base64(plain.as_bytes()))
            }
        }
    }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let held = (0..3).fold(0_u32, |held, at| held << 8 | u32::from(group.get(at).copied().unwrap_or(0)));
        for sextet in 0..4 {
            let byte = if sextet <= group.len() { alphabet[(held >> (18 - 6 * sextet) & 63) as usize] } else { b'=' };
            out.push(char::from(byte));
        }
    }
    out
}

const UUID: &str = "[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[89ab][a-f0-9]{3}-[a-f0-9]{12}";
const FAL: &str = "[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[89ab][a-f0-9]{3}-[a-f0-9]{12}:[a-f0-9]{32}";

#[expect(clippy::too_many_lines, reason = "it is one table")]
pub(crate) fn all() -> Vec<Format> {
    let shape = |provider, title, variable, host, pattern| Format {
        provider,
        title,
        variable,
        host,
        kind: Kind::Shape(pattern),
    };
    let mut all = vec![
        shape("openai", "OpenAI", "OPENAI_API_KEY", "api.openai.com", "sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}"),
        shape(
            "openai",
            "OpenAI",
            "OPENAI_API_KEY",
            "api.openai.com",
            "sk-proj-[A-Za-z0-9_-]{74}T3BlbkFJ[A-Za-z0-9_-]{73}[A-Za-z0-9]",
        ),
        shape(
            "openai",
            "OpenAI",
            "OPENAI_API_KEY",
            "api.openai.com",
            "sk-proj-[A-Za-z0-9_-]{58}T3BlbkFJ[A-Za-z0-9_-]{57}[A-Za-z0-9]",
        ),
        shape(
            "openai",
            "OpenAI",
            "OPENAI_KEY",
            "api.openai.com",
            "sk-svcacct-[A-Za-z0-9_-]{74}T3BlbkFJ[A-Za-z0-9_-]{74}",
        ),
        shape("openai", "OpenAI", "OPENAI_KEY", "api.openai.com", "sk-proj-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}"),
        shape(
            "openai",
            "OpenAI",
            "OPENAI_ADMIN_KEY",
            "api.openai.com",
            "sk-admin-[A-Za-z0-9_-]{58}T3BlbkFJ[A-Za-z0-9_-]{58}",
        ),
        shape("anthropic", "Anthropic", "ANTHROPIC_API_KEY", "api.anthropic.com", "sk-ant-api03-[A-Za-z0-9_-]{93}AA"),
        shape(
            "anthropic",
            "Anthropic",
            "ANTHROPIC_ADMIN_KEY",
            "api.anthropic.com",
            "sk-ant-admin01-[A-Za-z0-9_-]{93}AA",
        ),
        shape(
            "anthropic",
            "Claude",
            "CLAUDE_CODE_OAUTH_TOKEN",
            "api.anthropic.com",
            "sk-ant-oat01-[A-Za-z0-9_-]{93}AA",
        ),
        shape("anthropic", "Claude", "CLAUDE_SESSION", "claude.ai", "sk-ant-sid01-[A-Za-z0-9_-]{93}AA"),
        shape("gemini", "Gemini", "GEMINI_API_KEY", "generativelanguage.googleapis.com", "AIzaSy[A-Za-z0-9_-]{33}"),
        shape(
            "gemini",
            "Gemini",
            "GOOGLE_API_KEY",
            "generativelanguage.googleapis.com",
            "AQ\\.Ab8RN6[A-Za-z0-9_-]{44}",
        ),
        shape("huggingface", "HuggingFace", "HF_TOKEN", "huggingface.co", "hf_[A-Za-z]{34}"),
        shape("huggingface", "HuggingFace", "HF_ORG_TOKEN", "huggingface.co", "api_org_[A-Za-z]{34}"),
        shape("groq", "Groq", "GROQ_API_KEY", "api.groq.com", "gsk_[A-Za-z0-9]{20}WGdyb3FY[A-Za-z0-9]{24}"),
        shape("xai", "xAI", "XAI_API_KEY", "api.x.ai", "xai-[A-Za-z0-9]{80}"),
        shape("mistral", "Mistral", "MISTRAL_API_KEY", "api.mistral.ai", "[A-Za-z0-9]{32}"),
        shape("deepseek", "DeepSeek", "DEEPSEEK_API_KEY", "api.deepseek.com", "sk-[a-f0-9]{32}"),
        shape("dashscope", "DashScope", "DASHSCOPE_API_KEY", "dashscope.aliyuncs.com", "sk-[a-f0-9]{32}"),
        shape("openrouter", "OpenRouter", "OPENROUTER_API_KEY", "openrouter.ai", "sk-or-v1-[a-f0-9]{64}"),
        shape("replicate", "Replicate", "REPLICATE_API_TOKEN", "api.replicate.com", "r8_[A-Za-z0-9]{37}"),
        shape("perplexity", "Perplexity", "PERPLEXITY_API_KEY", "api.perplexity.ai", "pplx-[A-Za-z0-9]{48}"),
        shape("cohere", "Cohere", "COHERE_API_KEY", "api.cohere.com", "[A-Za-z0-9]{40}"),
        shape("azure-openai", "AzureOpenAI", "AZURE_OPENAI_API_KEY", "my.openai.azure.com", "[a-f0-9]{32}"),
        shape(
            "azure-openai",
            "AzureOpenAI",
            "AZURE_OPENAI_API_KEY",
            "my.openai.azure.com",
            "[A-Za-z0-9]{52}JQQJ99B[A-L]AC[A-Za-z0-9]{10}AAABACOG[A-Za-z0-9]{4}",
        ),
        shape("aws", "AWS", "AWS_ACCESS_KEY_ID", "sts.amazonaws.com", "AKIA[A-Z2-7]{16}"),
        shape("aws", "AWS", "AWS_SECRET_ACCESS_KEY", "sts.amazonaws.com", "[A-Za-z0-9/+]{40}"),
        shape("elevenlabs", "ElevenLabs", "ELEVENLABS_API_KEY", "api.elevenlabs.io", "sk_[a-f0-9]{48}"),
        shape("elevenlabs", "ElevenLabs", "ELEVENLABS_API_KEY", "api.elevenlabs.io", "[a-f0-9]{32}"),
        shape("together", "Together", "TOGETHER_API_KEY", "api.together.xyz", "tgp_v1_[A-Za-z0-9_-]{43}"),
        shape("together", "Together", "TOGETHER_API_KEY", "api.together.xyz", "[a-f0-9]{64}"),
        shape("fireworks", "Fireworks", "FIREWORKS_API_KEY", "api.fireworks.ai", "fw_[A-Za-z0-9]{24}"),
        shape("cerebras", "Cerebras", "CEREBRAS_API_KEY", "api.cerebras.ai", "csk-[a-z0-9]{48}"),
        shape("nvidia", "NVIDIA", "NVIDIA_API_KEY", "integrate.api.nvidia.com", "nvapi-[A-Za-z0-9_-]{63}[A-Za-z0-9]"),
        shape("stability", "Stability", "STABILITY_API_KEY", "api.stability.ai", "sk-[A-Za-z0-9]{48}"),
        shape("moonshot", "Moonshot", "MOONSHOT_API_KEY", "api.moonshot.ai", "sk-[A-Za-z0-9]{48}"),
        shape("zai", "Zhipu", "ZHIPU_API_KEY", "open.bigmodel.cn", "[a-f0-9]{32}\\.[A-Za-z0-9]{16}"),
        shape("minimax", "MiniMax", "MINIMAX_API_KEY", "api.minimax.io", "sk-api-[A-Za-z0-9_-]{118}[A-Za-z0-9]"),
        shape("cursor", "Cursor", "CURSOR_API_KEY", "api.cursor.com", "key_[a-f0-9]{64}"),
        shape("vercel", "Vercel", "AI_GATEWAY_API_KEY", "ai-gateway.vercel.sh", "vck_[A-Za-z0-9]{56}"),
        shape("voyage", "Voyage", "VOYAGE_API_KEY", "api.voyageai.com", "pa-[A-Za-z0-9_-]{42}[A-Za-z0-9]"),
        shape("runpod", "RunPod", "RUNPOD_API_KEY", "api.runpod.io", "rpa_[A-Z0-9]{46}"),
        shape("ollama", "Ollama", "OLLAMA_API_KEY", "ollama.com", "[a-f0-9]{32}\\.[A-Za-z0-9_-]{23}[A-Za-z0-9]"),
        shape("upstage", "Upstage", "UPSTAGE_API_KEY", "api.upstage.ai", "[A-Za-z0-9]{42}"),
        shape(
            "langsmith",
            "LangSmith",
            "LANGSMITH_API_KEY",
            "api.smith.langchain.com",
            "lsv2_pt_[a-f0-9]{32}_[a-f0-9]{10}",
        ),
        shape(
            "langfuse",
            "Langfuse",
            "LANGFUSE_SECRET_KEY",
            "cloud.langfuse.com",
            "sk-lf-[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[89ab][a-f0-9]{3}-[a-f0-9]{12}",
        ),
        shape("pinecone", "Pinecone", "PINECONE_API_KEY", "api.pinecone.io", "pcsk_[A-Za-z0-9]{6}_[A-Za-z0-9]{63}"),
        shape("wandb", "Wandb", "WANDB_API_KEY", "api.wandb.ai", "[a-f0-9]{40}"),
        shape("wandb", "Wandb", "WANDB_API_KEY", "api.wandb.ai", "wandb_v1_[A-Za-z0-9_]{76}[A-Za-z0-9]"),
        shape("assemblyai", "AssemblyAI", "ASSEMBLYAI_API_KEY", "api.assemblyai.com", "[a-f0-9]{32}"),
        shape("deepgram", "Deepgram", "DEEPGRAM_API_KEY", "api.deepgram.com", "[a-f0-9]{40}"),
        shape("tavily", "Tavily", "TAVILY_API_KEY", "api.tavily.com", "tvly-[A-Za-z0-9]{32}"),
        shape("tavily", "Tavily", "TAVILY_API_KEY", "api.tavily.com", "tvly-dev-[A-Za-z0-9]{32}"),
        shape("firecrawl", "Firecrawl", "FIRECRAWL_API_KEY", "api.firecrawl.dev", "fc-[a-f0-9]{32}"),
        shape("jina", "Jina", "JINA_API_KEY", "api.jina.ai", "jina_[A-Za-z0-9_-]{59}[A-Za-z0-9]"),
        shape("exa", "Exa", "EXA_API_KEY", "api.exa.ai", UUID),
        shape("llamacloud", "LlamaCloud", "LLAMA_CLOUD_API_KEY", "api.cloud.llamaindex.ai", "llx-[A-Za-z0-9]{48}"),
        shape("baseten", "Baseten", "BASETEN_API_KEY", "inference.baseten.co", "[A-Za-z0-9]{8}\\.[A-Za-z0-9]{32}"),
        shape("friendli", "Friendli", "FRIENDLI_TOKEN", "api.friendli.ai", "flp_[A-Za-z0-9]{46}"),
        shape("fal", "Fal", "FAL_KEY", "fal.run", FAL),
        shape("stripe", "Stripe", "STRIPE_SECRET_KEY", "api.stripe.com", "sk_live_[A-Za-z0-9]{24}"),
        shape("slack", "Slack", "SLACK_BOT_TOKEN", "slack.com", "xoxb-[1-9][0-9]{11}-[1-9][0-9]{11}-[A-Za-z0-9]{24}"),
        shape("gitlab", "GitLab", "GITLAB_TOKEN", "gitlab.com", "glpat-[A-Za-z0-9_]{19}[A-Za-z0-9]"),
        shape(
            "sendgrid",
            "SendGrid",
            "SENDGRID_API_KEY",
            "api.sendgrid.com",
            "SG\\.[A-Za-z0-9_-]{22}\\.[A-Za-z0-9_-]{42}[A-Za-z0-9]",
        ),
        shape(
            "telegram",
            "Telegram",
            "TELEGRAM_BOT_TOKEN",
            "api.telegram.org",
            "[1-9][0-9]{9}:AA[A-Za-z0-9_-]{32}[A-Za-z0-9]",
        ),
        shape("digitalocean", "DigitalOcean", "DIGITALOCEAN_TOKEN", "api.digitalocean.com", "dop_v1_[a-f0-9]{64}"),
    ];
    let other = |provider, title, variable, host, kind| Format { provider, title, variable, host, kind };
    all.push(other(
        "bedrock",
        "Bedrock",
        "AWS_BEARER_TOKEN_BEDROCK",
        "bedrock.us-east-1.amazonaws.com",
        Kind::BedrockLong,
    ));
    all.push(other(
        "bedrock",
        "Bedrock",
        "AWS_BEARER_TOKEN_BEDROCK",
        "bedrock.us-east-1.amazonaws.com",
        Kind::BedrockShort,
    ));
    all.push(other("github", "GitHub", "GITHUB_TOKEN", "api.github.com", Kind::Checked("ghp_")));
    all.push(other("npm", "Npm", "NPM_TOKEN", "npm.example", Kind::Checked("npm_")));
    all
}
