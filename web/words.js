// Every word of the page, in English and Chinese.

/** @typedef {"en" | "zh"} Language */

/** @type {Record<string, Record<Language, string>>} */
const WORDS = {
  log_in_title: { en: "Log in", zh: "登录" },
  log_in: { en: "Log in", zh: "登录" },
  log_out: { en: "Log out", zh: "退出" },
  agent: { en: "Agent", zh: "坐席" },
  password: { en: "Password", zh: "密码" },
  other_language: { en: "中文", zh: "English" },
  wrong_password: { en: "Agent or password is wrong.", zh: "坐席或密码错误。" },
  too_many: { en: "Too many attempts. Try again in {s} s.", zh: "尝试次数过多,请在 {s} 秒后重试。" },
  unreachable: { en: "The server does not answer.", zh: "服务器没有响应。" },
  connected_link: { en: "Connected", zh: "已连接" },
  connecting: { en: "Connecting …", zh: "正在连接…" },
  offline: { en: "Connection lost. Trying again …", zh: "连接中断,正在重试…" },
  taken_over: { en: "You logged in somewhere else; this desk is closed.", zh: "您已在别处登录,本页面已关闭。" },
  expired: { en: "Your log-in is over. Please log in again.", zh: "登录已失效,请重新登录。" },
  your_state: { en: "Your state", zh: "您的状态" },
  reason: { en: "Reason", zh: "原因" },
  ready: { en: "Ready", zh: "就绪" },
  not_ready: { en: "Not ready", zh: "未就绪" },
  offered: { en: "Offered", zh: "来电中" },
  talking: { en: "Talking", zh: "通话中" },
  held: { en: "On hold", zh: "保持中" },
  wrap_up: { en: "Wrap-up", zh: "话后处理" },
  busy: { en: "On another call", zh: "其他通话中" },
  logged_out: { en: "logged out", zh: "已退出" },
  rona: { en: "did not answer", zh: "未应答" },
  unreachable_phone: { en: "phone not reached", zh: "话机无法接通" },
  declined: { en: "declined", zh: "已拒接" },
  break: { en: "Break", zh: "小休" },
  lunch: { en: "Lunch", zh: "午餐" },
  training: { en: "Training", zh: "培训" },
  back_office: { en: "Back office", zh: "文书工作" },
  waiting: { en: "You are ready. The next contact appears here.", zh: "您已就绪,来电将显示在这里。" },
  resting: { en: "You are not ready. No contact is offered to you.", zh: "您未就绪,不会分配来电。" },
  actions: { en: "Call", zh: "通话操作" },
  answer: { en: "Answer", zh: "接听" },
  decline: { en: "Decline", zh: "拒接" },
  hold: { en: "Hold", zh: "保持" },
  resume: { en: "Resume", zh: "恢复" },
  release: { en: "End call", zh: "挂断" },
  unknown_caller: { en: "Unknown caller", zh: "未知来电" },
  queue: { en: "Queue", zh: "队列" },
  waited: { en: "waited", zh: "已等待" },
  tier: { en: "Tier", zh: "等级" },
  language: { en: "Speaks", zh: "语言" },
  confidence: { en: "Identity", zh: "身份" },
  none: { en: "not known", zh: "未识别" },
  number: { en: "by number only", zh: "仅凭号码" },
  attested: { en: "number attested", zh: "号码已认证" },
  verified: { en: "verified", zh: "已验证" },
  token: { en: "certain", zh: "已确认" },
  breakpoint: { en: "Where it stopped", zh: "中断位置" },
  no_breakpoint: { en: "Nothing unfinished is known of this caller.", zh: "未发现该客户有未完成的事项。" },
  hidden_breakpoint: { en: "There is an unfinished errand. What it is may not be shown yet.", zh: "该客户有未完成的事项,暂不可显示其内容。" },
  topic: { en: "Errand", zh: "事项" },
  channel: { en: "Channel", zh: "渠道" },
  step: { en: "Step", zh: "步骤" },
  why: { en: "Reason", zh: "原因" },
  attempts: { en: "Attempts", zh: "尝试次数" },
  journey: { en: "Journey", zh: "流程编号" },
  withheld: { en: "Withheld until the caller is identified better: {names}", zh: "在进一步核实身份前不予显示:{names}" },
  also_open: { en: "Also unfinished", zh: "其他未完成事项" },
  path: { en: "Way through the menu", zh: "菜单路径" },
  pressed: { en: "pressed {keys}", zh: "按键 {keys}" },
  previous: { en: "Earlier contacts", zh: "历史联络" },
  notes: { en: "Notes", zh: "备注" },
  note: { en: "Note", zh: "备注" },
  note_hint: { en: "What the next one should know", zh: "给下一位同事的留言" },
  add_note: { en: "Add note", zh: "添加备注" },
  noted: { en: "Note kept.", zh: "备注已保存。" },
  disposition: { en: "Outcome", zh: "处理结果" },
  choose: { en: "Choose …", zh: "请选择…" },
  errand: { en: "The errand is", zh: "该事项" },
  resolved: { en: "resolved", zh: "已解决" },
  left_open: { en: "still open", zh: "仍未完成" },
  file: { en: "File", zh: "提交" },
  extend: { en: "30 s more", zh: "延长 30 秒" },
  filed: { en: "Outcome filed.", zh: "处理结果已提交。" },
  keys: { en: "Keyboard shortcuts", zh: "键盘快捷键" },
  new_offer: { en: "New contact: {who}", zh: "新来电:{who}" },
  withdrawn_rona: { en: "The offer rang out. You are not ready.", zh: "未接听,已切换为未就绪。" },
  withdrawn_declined: { en: "You declined.", zh: "您已拒接。" },
  withdrawn_unreachable: { en: "Your phone could not be reached.", zh: "您的话机无法接通。" },
  withdrawn_abandoned: { en: "The caller hung up.", zh: "客户已挂断。" },
  withdrawn_caller_away: { en: "The caller's page is gone for a moment.", zh: "客户页面暂时断开。" },
  withdrawn_timed_out: { en: "The caller waited too long and went on.", zh: "客户等待超时,已转出。" },
  sound: { en: "Sound", zh: "音质" },
  sounds_good: { en: "good", zh: "良好" },
  sounds_fair: { en: "fair", zh: "一般" },
  sounds_poor: { en: "poor", zh: "较差" },
  caller_unheard: { en: "No sound has come from the caller since {at}.", zh: "自 {at} 起没有收到客户的声音。" },
  agent_unheard: { en: "The caller cannot hear you: no sound has come from your phone since {at}.", zh: "客户听不到您:自 {at} 起没有收到您话机的声音。" },
  released: { en: "The call is over.", zh: "通话已结束。" },
  not_yours: { en: "This contact is no longer yours.", zh: "该联络已不属于您。" },
  not_now: { en: "Not possible just now.", zh: "当前无法执行。" },
  answer_at_the_phone: { en: "Your phone is ringing: pick it up.", zh: "话机正在振铃,请在话机上接听。" },
  phone_unreachable: { en: "Your phone is not registered.", zh: "您的话机未注册。" },
  unknown: { en: "The server does not know that.", zh: "服务器不识别该操作。" },
  too_long: { en: "That is too long.", zh: "内容过长。" },
  too_fast: { en: "Too fast: slow down a little.", zh: "操作过快,请稍候。" },
  refused: { en: "Refused.", zh: "操作被拒绝。" },
  phone: { en: "Phone", zh: "电话" },
  level: { en: "Microphone level", zh: "麦克风音量" },
  mute: { en: "Mute", zh: "静音" },
  keypad: { en: "Keypad", zh: "拨号盘" },
  try_again: { en: "Try again", zh: "重试" },
  off: { en: "Phone off", zh: "电话未启用" },
  asking: { en: "Allow the microphone in your browser …", zh: "请在浏览器中允许使用麦克风…" },
  line_up: { en: "Phone ready", zh: "电话已就绪" },
  line_lost: { en: "No audio: your network lets none through. Trying again …", zh: "语音不通:网络受阻,正在重试…" },
  line_not_up: { en: "Your phone has no line yet.", zh: "您的电话线路尚未接通。" },
  no_microphone: { en: "No microphone was found. Plug in a headset.", zh: "未找到麦克风,请插入耳机。" },
  microphone_refused: {
    en: "The microphone is blocked: callers could not hear you. Allow it in the browser's address bar.",
    zh: "麦克风已被禁用,客户将听不到您。请在浏览器地址栏中允许使用。",
  },
  insecure_page: {
    en: "This browser gives no microphone to a page without HTTPS.",
    zh: "浏览器不允许非 HTTPS 页面使用麦克风。",
  },
  quality: { en: "{loss} % lost · jitter {jitter} ms · {rtt} ms", zh: "丢包 {loss}% · 抖动 {jitter} ms · 时延 {rtt} ms" },
  unacceptable: { en: "The server cannot speak with this browser.", zh: "服务器无法与此浏览器通话。" },
  no_room: { en: "The server has no line for this page.", zh: "服务器暂无可用线路。" },
  ago: { en: "{span} ago", zh: "{span}前" },
  data: { en: "data", zh: "数据" },
  label: { en: "step", zh: "步骤" },
  sentence: { en: "sentence", zh: "描述" },
  app: { en: "app", zh: "App" },
  web: { en: "web", zh: "网页" },
  chat: { en: "chat", zh: "在线聊天" },
  wechat: { en: "WeChat", zh: "微信" },
  kiosk: { en: "kiosk", zh: "自助终端" },
  ivr: { en: "phone menu", zh: "电话菜单" },
  entered: { en: "entered", zh: "已进入" },
  done: { en: "done", zh: "已完成" },
  failed: { en: "failed", zh: "失败" },
  abandoned: { en: "abandoned", zh: "已放弃" },
};

/** @type {Language} */
let spoken = "en";

/** @param {Language} language */
export function speak(language) {
  spoken = language;
}

/** @returns {Language} */
export function language() {
  return spoken;
}

/**
 * The word in the page's language; a name that is no word of ours is returned as it is.
 * @param {string} name
 * @param {Record<string, string | number>} [values]
 */
export function word(name, values = {}) {
  const text = Object.hasOwn(WORDS, name) ? WORDS[name][spoken] : name;
  return text.replace(/\{(\w+)\}/g, (_, key) => String(values[key] ?? ""));
}

/**
 * Whichever language the server has words in, the page's first.
 * @param {Record<string, string> | undefined} words
 */
export function inLanguage(words) {
  return words?.[spoken] ?? words?.en ?? Object.values(words ?? {})[0] ?? "";
}

/** `4:05`, from milliseconds. @param {number} ms */
export function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** In words and roughly: `4 minutes`. @param {number} seconds */
export function span(seconds) {
  const [unit, size] =
    seconds < 60 ? ["second", 1] : seconds < 3600 ? ["minute", 60] : seconds < 86400 ? ["hour", 3600] : ["day", 86400];
  const locale = spoken === "zh" ? "zh-CN" : "en";
  const format = new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "long" });
  return format.format(Math.floor(seconds / size));
}

/** Time of day, with the date if it is not today's. @param {string} at */
export function moment(at) {
  const then = new Date(at);
  const today = then.toDateString() === new Date().toDateString();
  const locale = spoken === "zh" ? "zh-CN" : "en-GB";
  /** @type {Intl.DateTimeFormatOptions} */
  const time = { hour: "2-digit", minute: "2-digit", second: today ? "2-digit" : undefined };
  return then.toLocaleString(locale, today ? time : { ...time, year: "numeric", month: "short", day: "numeric" });
}
