/** Rules about TypeScript, JavaScript and AssemblyScript, by their syntax trees. */
import ts from 'typescript';

/** Several rules look at the same file. */
const parsed = new Map<string, ts.SourceFile>();

function parse(path: string, text: string): ts.SourceFile {
  const known = parsed.get(path);
  if (known?.text === text) return known;
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  parsed.set(path, source);
  return source;
}

function visit(node: ts.Node, visitor: (node: ts.Node) => void): void {
  visitor(node);
  ts.forEachChild(node, (child) => visit(child, visitor));
}

function lineOf(source: ts.SourceFile, position: number): number {
  return source.getLineAndCharacterOfPosition(position).line + 1;
}

/** Functions of more than `max` lines, as `line: problem`. */
export function longFunctions(path: string, text: string, max: number): string[] {
  const source = parse(path, text);
  const found: string[] = [];
  visit(source, (node) => {
    if (!ts.isFunctionLike(node) || isGroup(node)) return;
    const first = lineOf(source, node.getStart(source));
    const lines = lineOf(source, node.end) - first + 1;
    if (lines > max) found.push(`${first}: ${nameOf(node)} has ${lines} lines`);
  });
  return found;
}

function nameOf(node: ts.SignatureDeclaration): string {
  return node.name && 'text' in node.name ? String(node.name.text) : 'a function';
}

/** What is given to `describe` is a list of tests, not something that runs through. */
function isGroup(node: ts.Node): boolean {
  return ts.isCallExpression(node.parent) && /^describe\b/.test(node.parent.expression.getText());
}

/** Types that are `any`, as `line: problem`. */
export function anyTypes(path: string, text: string): string[] {
  const source = parse(path, text);
  const found: string[] = [];
  visit(source, (node) => {
    if (node.kind === ts.SyntaxKind.AnyKeyword) found.push(`${lineOf(source, node.pos)}: any`);
  });
  return found;
}

/** Calls that somebody needed for an afternoon, as `line: call`. */
export function leftCalls(path: string, text: string): string[] {
  const source = parse(path, text);
  const found: string[] = [];
  visit(source, (node) => {
    const line = lineOf(source, node.getStart(source));
    if (ts.isDebuggerStatement(node)) found.push(`${line}: debugger`);
    if (!ts.isCallExpression(node)) return;
    const called = node.expression.getText(source);
    if (/^(console\.(log|debug)|(it|test|describe)\.only)$/.test(called)) {
      found.push(`${line}: ${called}`);
    }
  });
  return found;
}

/** What a file imports or exports from, and imports dynamically, as it is written there. */
export function importsOf(path: string, text: string): string[] {
  const { importedFiles } = ts.preProcessFile(text, true, path.endsWith('.js'));
  return importedFiles.map(({ fileName }) => fileName);
}
