/* expect: compilation error */
int main(void) {
  return missing;
}
