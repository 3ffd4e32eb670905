//! The providers the emulators stand for, and keys in each one's true shape. Keys are made when a test runs: none is
//! ever written into the tree.

use crate::random::{ALNUM, BASE64, HEX, URL_SAFE, text};

/// A provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// OpenAI.
    OpenAi,
    /// Anthropic.
    Anthropic,
    /// Google Gemini (AI Studio).
    Gemini,
    /// Azure OpenAI.
    AzureOpenAi,
    /// AWS Bedrock with bearer keys.
    Bedrock,
    /// DeepSeek.
    DeepSeek,
    /// Mistral.
    Mistral,
    /// OpenRouter.
    OpenRouter,
    /// xAI.
    Xai,
    /// Groq.
    Groq,
    /// Cohere.
    Cohere,
    /// Together.
    Together,
    /// Fireworks.
    Fireworks,
    /// Perplexity.
    Perplexity,
    /// Hugging Face.
    HuggingFace,
    /// Replicate.
    Replicate,
    /// `ElevenLabs`.
    ElevenLabs,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::OpenAi,
        Self::Anthropic,
        Self::Gemini,
        Self::AzureOpenAi,
        Self::Bedrock,
        Self::DeepSeek,
        Self::Mistral,
        Self::OpenRouter,
        Self::Xai,
        Self::Groq,
        Self::Cohere,
        Self::Together,
        Self::Fireworks,
        Self::Perplexity,
        Self::HuggingFace,
        Self::Replicate,
        Self::ElevenLabs,
    ];

    /// The name in commands and on the gateway.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::AzureOpenAi => "azure-openai",
            Self::Bedrock => "bedrock",
            Self::DeepSeek => "deepseek",
            Self::Mistral => "mistral",
            Self::OpenRouter => "openrouter",
            Self::Xai => "xai",
            Self::Groq => "groq",
            Self::Cohere => "cohere",
            Self::Together => "together",
            Self::Fireworks => "fireworks",
            Self::Perplexity => "perplexity",
            Self::HuggingFace => "huggingface",
            Self::Replicate => "replicate",
            Self::ElevenLabs => "elevenlabs",
        }
    }

    /// The provider of an id.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.id() == id)
    }

    /// The path that the vendor's documented base URL ends in.
    #[must_use]
    pub const fn api_root(self) -> &'static str {
        match self {
            Self::OpenAi | Self::Mistral | Self::Xai | Self::Together | Self::HuggingFace | Self::Replicate => "/v1",
            Self::OpenRouter => "/api/v1",
            Self::Groq => "/openai/v1",
            Self::Fireworks => "/inference/v1",
            Self::Anthropic
            | Self::Gemini
            | Self::AzureOpenAi
            | Self::Bedrock
            | Self::DeepSeek
            | Self::Cohere
            | Self::Perplexity
            | Self::ElevenLabs => "",
        }
    }

    /// A model that the provider's emulator knows and the price list prices.
    #[must_use]
    pub const fn model(self) -> &'static str {
        match self {
            Self::OpenAi | Self::AzureOpenAi => "gpt-5.4",
            Self::Anthropic => "claude-sonnet-5",
            Self::Gemini => "gemini-3.5-flash",
            Self::Bedrock => "amazon.nova-pro-v1:0",
            Self::DeepSeek => "deepseek-flash",
            Self::Mistral => "mistral-large-2512",
            Self::OpenRouter => "anthropic/claude-sonnet-5",
            Self::Xai => "grok-4.5",
            Self::Groq => "openai/gpt-oss-120b",
            Self::Cohere => "command-r7b-12-2024",
            Self::Together => "moonshotai/Kimi-K2.6",
            Self::Fireworks => "accounts/fireworks/models/kimi-k2p6",
            Self::Perplexity => "sonar",
            Self::HuggingFace => "zai-org/GLM-5.2",
            Self::Replicate => "meta/meta-llama-3-70b-instruct",
            Self::ElevenLabs => "eleven_multilingual_v2",
        }
    }

    /// A new key in the provider's shape.
    #[must_use]
    pub fn new_key(self) -> String {
        match self {
            Self::OpenAi => format!("sk-proj-{}T3BlbkFJ{}", text(URL_SAFE, 74), text(URL_SAFE, 74)),
            Self::Anthropic => format!("sk-ant-api03-{}AA", text(URL_SAFE, 93)),
            Self::Gemini => format!("AIza{}", text(URL_SAFE, 35)),
            Self::AzureOpenAi => text(HEX, 32),
            Self::Bedrock => format!("ABSK{}", text(BASE64, 128)),
            Self::DeepSeek => format!("sk-{}", text("0123456789abcdefghijklmnopqrstuvwxyz", 32)),
            Self::Mistral => text(ALNUM, 32),
            Self::OpenRouter => format!("sk-or-v1-{}", text(HEX, 64)),
            Self::Xai => format!("xai-{}", text(ALNUM, 80)),
            Self::Groq => format!("gsk_{}WGdyb3FY{}", text(ALNUM, 20), text(ALNUM, 24)),
            Self::Cohere => text(ALNUM, 40),
            Self::Together => format!("tgp_v1_{}", text(URL_SAFE, 43)),
            Self::Fireworks => format!("fw_{}", text(ALNUM, 24)),
            Self::Perplexity => format!("pplx-{}", text(ALNUM, 48)),
            Self::HuggingFace => format!("hf_{}", text(ALNUM, 34)),
            Self::Replicate => format!("r8_{}", text(ALNUM, 37)),
            Self::ElevenLabs => format!("sk_{}", text(HEX, 48)),
        }
    }
}
