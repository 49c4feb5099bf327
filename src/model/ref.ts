// Names of Git references, by the rules of git-check-ref-format(1). A ref is what most grants turn on: text that git
// itself would refuse (`..`, line breaks, `@{`) is no ref, whatever a token says.

/** A full ref such as `refs/tags/v1.2.3` or `refs/heads/feature/x`. */
export function isRefName(text: string): boolean {
  return text.startsWith("refs/") && text.length <= 1024 && !forbidden.test(text) && text.split("/").every(isComponent);
}

// Control characters, DEL, space, ~ ^ : ? * [ \ anywhere; "..", "@{"; a final dot. Rules 3, 4, 5, 7, 8 and 10.
// The invisible and lone characters (\p{C}) are ours: they hide in what people read.
const forbidden = /[\p{C}\u2028\u2029 ~^:?*[\\]|\.\.|@\{|\.$/u;

/** Rules 1 and 6: no empty component, none that begins with a dot or ends in `.lock`. */
const isComponent = (component: string): boolean =>
  component !== "" && !component.startsWith(".") && !component.endsWith(".lock");
